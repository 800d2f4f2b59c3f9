//! Bytes that no generated client would send and that are read all the same, in one way.

use harness::{client::money, raw, system::BANKS};
use prost::Message;
use proto::payments::{CreatePaymentResponse, PaymentState};
use tonic::{Code, Status, metadata::MetadataMap, transport::Channel};

use crate::bench::{Bench, euros, run, unique};

const CREATE: &str = "/rialto.payments.v1.PaymentService/CreatePayment";

fn channel(bench: &Bench) -> Channel {
    bench.system.gateway().unwrap().connect()
}

async fn send(bench: &Bench, messages: Vec<Vec<u8>>) -> Result<Vec<u8>, Status> {
    let mut metadata = MetadataMap::new();
    metadata.insert("authorization", format!("Bearer {}", bench.system.credential(0)).parse().unwrap());
    raw::call(channel(bench), CREATE, metadata, messages).await
}

/// A length-delimited field.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encode_length_delimiter(value.len(), &mut bytes).unwrap();
    bytes.extend_from_slice(value);
    bytes
}

#[test]
fn what_the_protocol_leaves_open_is_read_in_one_way() {
    run(async |bench| {
        let shop = bench.client(0);
        let payer = bench.funded(&shop, "EUR", 1_000).await?;
        let good = |more: &[u8]| {
            let request = euros(&unique("wire"), &payer, &BANKS[0].account(1), 1);
            [request.encode_to_vec().as_slice(), more].concat()
        };
        // Of two members of a oneof the last one counts: the bank is told nothing of the first.
        let two_accounts = field(3, &field(3, b"123"));
        let refused = send(bench, vec![good(&two_accounts)]).await;
        assert_eq!(
            refused.map_err(|status| status.code()),
            Err(Code::InvalidArgument),
            "a number needs a bank"
        );
        // Of two equal keys the last one counts.
        let label = |value: &[u8]| field(7, &[field(1, b"k"), field(2, value)].concat());
        let answer = send(bench, vec![good(&[label(b"first"), label(b"last")].concat())]).await?;
        let payment = CreatePaymentResponse::decode(answer.as_slice())?.payment.unwrap_or_default();
        assert_eq!(payment.metadata["k"], "last");
        // Fields that this version does not know are ignored.
        let unknown = [0xba, 0x3e];
        let mut strange = unknown.to_vec();
        prost::encode_length_delimiter(50_000, &mut strange)?;
        strange.extend(vec![b'x'; 50_000]);
        let answer = send(bench, vec![good(&strange)]).await?;
        let payment = CreatePaymentResponse::decode(answer.as_slice())?.payment.unwrap_or_default();
        assert_eq!(payment.state(), PaymentState::Succeeded);
        assert_eq!(payment.amount, Some(money(1, "EUR")));
        assert!(payment.encoded_len() < 1_000, "what is unknown is not kept");
        Ok(())
    });
}

#[test]
fn deadlines_that_cannot_be_read_are_none_and_huge_ones_are_cut() {
    run(async |bench| {
        let shop = bench.client(0);
        let payer = bench.funded(&shop, "EUR", 1_000).await?;
        for timeout in ["abc", "-1S", "1", "", "99999999H", "99999999S", "9999999999999S"] {
            let mut request = shop.request(euros(&unique("timeout"), &payer, &BANKS[0].account(1), 1), None);
            request.metadata_mut().insert("grpc-timeout", timeout.parse()?);
            let answer = shop.payments.clone().create_payment(request).await;
            let state = answer.map(|answer| answer.into_inner().payment.unwrap_or_default().state());
            assert_eq!(
                state.map_err(|status| status.to_string()),
                Ok(PaymentState::Succeeded),
                "{timeout:?}"
            );
        }
        Ok(())
    });
}
