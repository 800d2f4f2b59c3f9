//! Has the schema's migrations, which `sqlx::migrate!` takes into the program, looked at again when one is added or changed.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
