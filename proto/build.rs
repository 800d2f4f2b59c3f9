//! Compiles the contracts without protoc; the same descriptors feed the generated code and reflection.
use std::{env, fs, path::PathBuf};

use prost::Message;
use tonic_prost_build::Config;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const FILES: [&str; 11] = [
        "rialto/audit/v1/audit.proto",
        "rialto/common/v1/money.proto",
        "rialto/payments/v1/payments.proto",
        "rialto/accounts/v1/accounts.proto",
        "rialto/operations/v1/operations.proto",
        "rialto/participants/v1/participants.proto",
        "rialto/limits/v1/limits.proto",
        "rialto/stats/v1/stats.proto",
        "rialto/webhooks/v1/webhooks.proto",
        "rialto/platform/v1/platform.proto",
        "rialto/channel/v1/channel.proto",
    ];
    println!("cargo:rerun-if-changed=rialto");
    let descriptors = protox::compile(FILES, ["."])?;
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out_dir.join("rialto_descriptors.bin"), descriptors.encode_to_vec())?;
    // Messages know their names, by which they are found in the descriptors.
    let mut config = Config::new();
    config.enable_type_names();
    // BTreeMap keeps metadata in one order, so that the same payment is the same bytes.
    tonic_prost_build::configure().btree_map(".").compile_fds_with_config(descriptors, config)?;
    Ok(())
}
