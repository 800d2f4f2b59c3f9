//! Rialto's gRPC contracts: the generated code, the descriptors that reflection serves, and [`convert`], the one place
//! between wire and domain.

pub mod convert;

#[expect(
    missing_docs,
    clippy::all,
    clippy::as_conversions,
    clippy::allow_attributes,
    reason = "generated code"
)]
mod generated {
    pub mod audit {
        pub mod v1 {
            tonic::include_proto!("rialto.audit.v1");
        }
    }
    pub mod common {
        pub mod v1 {
            tonic::include_proto!("rialto.common.v1");
        }
    }
    pub mod payments {
        pub mod v1 {
            tonic::include_proto!("rialto.payments.v1");
        }
    }
    pub mod accounts {
        pub mod v1 {
            tonic::include_proto!("rialto.accounts.v1");
        }
    }
    pub mod limits {
        pub mod v1 {
            tonic::include_proto!("rialto.limits.v1");
        }
    }
    pub mod operations {
        pub mod v1 {
            tonic::include_proto!("rialto.operations.v1");
        }
    }
    pub mod participants {
        pub mod v1 {
            tonic::include_proto!("rialto.participants.v1");
        }
    }
    pub mod stats {
        pub mod v1 {
            tonic::include_proto!("rialto.stats.v1");
        }
    }
    pub mod webhooks {
        pub mod v1 {
            tonic::include_proto!("rialto.webhooks.v1");
        }
    }
    pub mod platform {
        pub mod v1 {
            tonic::include_proto!("rialto.platform.v1");
        }
    }
    pub mod channel {
        pub mod v1 {
            tonic::include_proto!("rialto.channel.v1");
        }
    }
}

pub use generated::{
    accounts::v1 as accounts, audit::v1 as audit, channel::v1 as channel, common::v1 as money,
    limits::v1 as limits, operations::v1 as operations, participants::v1 as participants,
    payments::v1 as payments, platform::v1 as platform, stats::v1 as stats, webhooks::v1 as webhooks,
};

/// The descriptors of every contract here, as a serialized `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/rialto_descriptors.bin"));
