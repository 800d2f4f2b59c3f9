//! The naive design, running: its own bank, Rialto's channel, the naive platform and gateway, on a database of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use harness::{
    BenchError, binaries,
    postgres::Postgres,
    process::{KILLED_WITH_PARENT, Process},
    system::{API_KEY_SECRET, BANKS, Setup, banks_file, directory_file},
    wait,
};
use sqlx::{PgPool, postgres::PgConnectOptions};
use uuid::Uuid;

/// Its database.
const DATABASE: &str = "naive";
/// How long payments that were begun may take to come to their end.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// The running design; dropping it stops it.
#[derive(Debug)]
pub struct Naive {
    /// Its processes, by what they are.
    pub parts: Vec<(&'static str, Process)>,
    /// Where its gateway listens.
    pub address: String,
    bank_address: String,
    database: PgConnectOptions,
    database_url: String,
}

impl Naive {
    /// Starts every part. `setup` says where and how banks behave; `api_keys` is the file of Rialto's gateway.
    ///
    /// # Errors
    /// When a part does not come up.
    pub async fn start(setup: &Setup, postgres: &Postgres, api_keys: &Path) -> Result<Self, BenchError> {
        binaries::build_programs(&["naive"], &[])?;
        let books = setup.folder.join("books");
        fs::create_dir_all(&books)?;
        postgres.create_database(DATABASE, None).await?;
        let database_url = postgres.url(DATABASE);
        let mut starter = Starter { folder: setup.folder.clone(), parts: Vec::new() };

        let certificates = setup.certificates()?;
        let banks = starter.file("banks.toml", &banks_file(setup, &certificates))?;
        let mut bank = Command::new(binaries::program("bank")?);
        bank.arg("--banks").arg(banks).arg("--books").arg(books);
        let bank_address = starter.start("bank", bank)?;

        let directory = starter.file("directory.toml", &directory_file(setup, &certificates, None)?)?;
        let mut channel = Command::new(binaries::program("channel")?);
        channel.arg("--directory").arg(directory).args([crate::MAX_STREAMS, "--insecure-listen"]);
        let channel = starter.start("channel", channel)?;

        let mut platform = Command::new(binaries::program("naive")?);
        platform.args(["platform", crate::MAX_STREAMS, "--channel", &channel]);
        platform.env("RIALTO_DATABASE_URL", &database_url);
        let platform = starter.start("platform", platform)?;

        let mut gateway = Command::new(binaries::program("naive")?);
        gateway.args(["gateway", "--platform", &platform, "--api-keys"]).arg(api_keys);
        gateway.env("RIALTO_API_KEY_SECRET", API_KEY_SECRET);
        let address = starter.start("gateway", gateway)?;

        let database = postgres.options(DATABASE);
        Ok(Self { parts: starter.parts, address, bank_address, database, database_url })
    }

    /// Checks that its ledger adds up, and is equal to its bank's own books.
    ///
    /// # Errors
    /// When it is not.
    pub async fn check(&self) -> Result<(), BenchError> {
        let pool = PgPool::connect_with(self.database.clone()).await?;
        wait::until("every payment of the naive design came to its end", ENDS_WITHIN, || async {
            let open = "SELECT count(*) FROM payments WHERE state = 'SUBMITTED'";
            let open: Result<i64, _> = sqlx::query_scalar(open).fetch_one(&pool).await;
            open.ok().filter(|open| *open == 0)
        })
        .await?;
        let check = Command::new(binaries::program("naive")?)
            .arg("check")
            .env("RIALTO_DATABASE_URL", &self.database_url)
            .output()?;
        if !check.status.success() {
            let said = String::from_utf8_lossy(&check.stderr).into_owned();
            return Err(format!("the naive design's books do not add up: {said}").into());
        }
        let banks = BANKS.iter().map(|bank| bank.id);
        let differences =
            harness::books::compare(&self.database, &self.bank_address, banks, Uuid::nil()).await?;
        if !differences.is_empty() {
            let all = differences.join("\n");
            return Err(format!("the naive design's books are not its banks':\n{all}").into());
        }
        Ok(())
    }
}

struct Starter {
    folder: PathBuf,
    parts: Vec<(&'static str, Process)>,
}

impl Starter {
    fn file(&self, name: &str, text: &str) -> Result<PathBuf, BenchError> {
        let path = self.folder.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Starts a part, and returns where it listens.
    fn start(&mut self, name: &'static str, mut command: Command) -> Result<String, BenchError> {
        let address_file = self.folder.join(format!("{name}.address"));
        command.args(["--listen", "127.0.0.1:0", "--address-file"]).arg(&address_file);
        let log = self.folder.join(format!("{name}.log"));
        let mut process = Process::start(name, command, KILLED_WITH_PARENT, &log)?;
        let address = process.wait_for_file(&address_file)?.trim().to_owned();
        self.parts.push((name, process));
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use common::rpc_client::Route;
    use harness::{
        binaries,
        client::{Client, order, payee_by_iban},
        postgres::{Postgres, own_folder},
        system::{BANKS, Setup, new_key},
    };
    use proto::payments::PaymentState;
    use tonic::Code;

    use super::Naive;

    #[tokio::test]
    async fn it_does_the_same_job_in_the_plain_way() {
        binaries::build(&[]).unwrap();
        let folder = own_folder("naive").unwrap();
        let postgres = Postgres::start(&folder.join("postgres"), &[]).await.unwrap();
        let (key, entry) = new_key("shop", &["payer-app", "operator"]).unwrap();
        let api_keys = folder.join("api-keys.toml");
        std::fs::write(&api_keys, entry).unwrap();
        let setup = Setup::new(folder.join("naive"));
        let naive = Naive::start(&setup, &postgres, &api_keys).await.unwrap();

        let client = Client::new(&Route::to(&naive.address, None).unwrap(), &key).unwrap();
        let payer = client.open_account("a", "Ada Buyer", "EUR", "").await.unwrap().id;
        for _ in 0..2 {
            client.deposit("a", &payer, 5_000, "EUR", BANKS[0].id).await.unwrap();
        }
        let payee = payee_by_iban("Blaise Seller", &BANKS[1].account(7));
        let pay = async |id: &str, minor_units| {
            client.pay(order(id, &payer, payee.clone(), minor_units, "EUR"), None).await
        };
        let paid = pay("first", 4_000).await.unwrap().payment;
        assert_eq!((paid.state(), paid.bank_id.as_str()), (PaymentState::Succeeded, "meridian"));
        assert_eq!(pay("first", 4_000).await.unwrap().payment, paid);
        assert_eq!(pay("first", 4_001).await.unwrap_err().code(), Code::FailedPrecondition);
        let refused = pay("second", 1_001).await.unwrap().payment;
        assert_eq!(refused.state(), PaymentState::Failed);
        assert_eq!(refused.reason.unwrap().code, "INSUFFICIENT_FUNDS");
        assert_eq!(pay("third", 1_000).await.unwrap().payment.state(), PaymentState::Succeeded);
        let nobody = order("fourth", &format!("acc_{}", "1".repeat(32)), payee.clone(), 1, "EUR");
        assert_eq!(client.pay(nobody, None).await.unwrap_err().code(), Code::NotFound);
        let stranger = Client::new(&Route::to(&naive.address, None).unwrap(), "rk_unknown").unwrap();
        let unknown = stranger.pay(order("fifth", &payer, payee.clone(), 1, "EUR"), None).await;
        assert_eq!(unknown.unwrap_err().code(), Code::Unauthenticated);
        naive.check().await.unwrap();

        // The check sees what is wrong.
        let pool = sqlx::PgPool::connect_with(naive.database.clone()).await.unwrap();
        let spoil = "UPDATE accounts SET credits_posted = credits_posted + 1 WHERE bank_id IS NULL";
        sqlx::query(spoil).execute(&pool).await.unwrap();
        let found = naive.check().await.unwrap_err().to_string();
        assert!(found.contains("transfers say 0/5000 and 0/5000"), "{found}");
    }
}
