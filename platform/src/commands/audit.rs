//! The audit log: checkpoints, proofs and receipts.

use common::{
    audit::{
        merkle::{self, Hash},
        note::Signer,
    },
    fault::{Fault, Violation},
    id::PaymentId,
};
use proto::{
    audit::{
        GetCheckpointResponse, GetConsistencyProofRequest, GetConsistencyProofResponse,
        GetInclusionProofRequest, GetInclusionProofResponse, GetPaymentReceiptRequest,
        GetPaymentReceiptResponse, Receipt, ReceiptStep,
    },
    platform::reply,
};

use super::{Commands, Done, parse_id};
use crate::{
    audit::proofs::{self, NoProof},
    flow::intake::Caller,
    store::audit::Seal,
};

impl From<NoProof> for Fault {
    fn from(why: NoProof) -> Self {
        match why {
            NoProof::Store(error) => error.into(),
            NoProof::NoSuchSize => Self::invalid(vec![Violation::new(
                "size",
                "must be a size that the log has had, and greater than the leaf",
            )]),
            NoProof::TakenOut => {
                Self::precondition("TAKEN_OUT", "what the proof needs is no longer kept here")
            }
            NoProof::Differs => {
                tracing::error!("ALARM: the ledger is not what was sealed: run `platform verify-audit`");
                Self::internal()
            }
        }
    }
}

impl Commands {
    pub(super) async fn get_checkpoint(&self) -> Done {
        let signer = self.signer()?;
        let seal = self.sealed().await?;
        let checkpoint = signer.sign(seal.log.size(), &seal.log.root());
        Ok((reply::Result::GetCheckpoint(GetCheckpointResponse { checkpoint }), false))
    }

    pub(super) async fn get_inclusion_proof(&self, request: GetInclusionProofRequest) -> Done {
        let size = self.size("size", request.size).await?;
        let leaf = u64::try_from(request.leaf).ok().filter(|leaf| *leaf < size);
        let leaf = leaf.ok_or_else(|| {
            Fault::invalid(vec![Violation::new(
                "leaf",
                format!("must be from 0 to {}", size.saturating_sub(1)),
            )])
        })?;
        let proof = to_wire(proofs::inclusion(self.flow.store(), leaf, size).await?);
        let response = GetInclusionProofResponse { size: count(size), proof };
        Ok((reply::Result::GetInclusionProof(response), false))
    }

    pub(super) async fn get_consistency_proof(&self, request: GetConsistencyProofRequest) -> Done {
        let size = self.size("size", request.size).await?;
        let old = u64::try_from(request.old_size).ok().filter(|old| (1..=size).contains(old));
        let old = old.ok_or_else(|| {
            Fault::invalid(vec![Violation::new("old_size", format!("must be from 1 to {size}"))])
        })?;
        let proof = to_wire(proofs::consistency(self.flow.store(), old, size).await?);
        let response = GetConsistencyProofResponse { size: count(size), proof };
        Ok((reply::Result::GetConsistencyProof(response), false))
    }

    pub(super) async fn get_payment_receipt(
        &self,
        caller: &Caller,
        request: GetPaymentReceiptRequest,
    ) -> Done {
        let id = parse_id("payment", &request.payment, "pay_", PaymentId::parse)?;
        let store = self.flow.store();
        let payment =
            store.payment(&caller.participant, id).await?.ok_or_else(|| Fault::not_found("payment"))?;
        if !payment.state.is_final() {
            let message = format!("the payment is {}: a receipt says how it ended", payment.state.name());
            return Err(Fault::precondition("PAYMENT_NOT_OVER", message));
        }
        let signer = self.signer()?;
        let log = self.sealed().await?.log;
        let mut steps = Vec::new();
        for seal in store.seals_of_payment(id.uuid()).await? {
            for (leaf, found) in (seal.first_leaf..).zip(proofs::leaves_of(store, &seal).await?) {
                if found.step.id == id.uuid() {
                    steps.push((leaf, found));
                }
            }
        }
        if steps.last().is_none_or(|(_, last)| last.step.sequence != payment.sequence) {
            let message = "what is decided is sealed some time later: ask again in a while";
            return Err(Fault::precondition("NOT_SEALED_YET", message));
        }
        let mut proven = Vec::new();
        for (leaf, found) in steps {
            let proof = proofs::inclusion(store, leaf, log.size()).await?;
            if merkle::root_of_inclusion(leaf, log.size(), found.hash(), &proof) != Some(log.root()) {
                return Err(NoProof::Differs.into());
            }
            proven.push(ReceiptStep { text: found.text, leaf: count(leaf), proof: to_wire(proof) });
        }
        let checkpoint = signer.sign(log.size(), &log.root());
        let receipt = Some(Receipt { payment: id.to_string(), steps: proven, checkpoint });
        Ok((reply::Result::GetPaymentReceipt(GetPaymentReceiptResponse { receipt }), false))
    }

    fn signer(&self) -> Result<&Signer, Fault> {
        let message = "this installation has no key to sign with (platform --audit-key-file)";
        self.signer.as_deref().ok_or_else(|| Fault::precondition("NOT_SIGNED", message))
    }

    async fn sealed(&self) -> Result<Seal, Fault> {
        let message = "nothing has been sealed yet: ask again in a while";
        self.flow.store().last_seal().await?.ok_or_else(|| Fault::precondition("NOTHING_SEALED", message))
    }

    /// A size that the log has had; that which it has, if the request says none.
    async fn size(&self, field: &str, asked: i64) -> Result<u64, Fault> {
        let invalid = |must: String| Fault::invalid(vec![Violation::new(field, must)]);
        let asked = u64::try_from(asked).map_err(|_| invalid("must not be negative".to_owned()))?;
        match (asked, self.sealed().await?.log.size()) {
            (0, size) => Ok(size),
            (asked, size) if asked <= size => Ok(asked),
            (_, size) => Err(invalid(format!("must be from 1 to {size}, or absent"))),
        }
    }
}

fn to_wire(proof: Vec<Hash>) -> Vec<Vec<u8>> {
    proof.iter().map(|hash| hash.to_vec()).collect()
}

fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
