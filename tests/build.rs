//! Compiles the contracts of the benches' own small services, as `proto/build.rs` does those of the system.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=compare/echo.proto");
    println!("cargo:rerun-if-changed=naive/naive.proto");
    // Which a case runs one by one.
    println!("cargo:rerun-if-changed=../platform/migrations");
    let descriptors = protox::compile(["echo.proto", "naive.proto"], ["compare", "naive", "../proto"])?;
    tonic_prost_build::configure()
        .extern_path(".rialto.accounts.v1", "::proto::accounts")
        .extern_path(".rialto.payments.v1", "::proto::payments")
        .compile_fds(descriptors)?;
    Ok(())
}
