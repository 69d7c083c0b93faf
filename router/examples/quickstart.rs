//! The shortest program: a ring, a value in it, and the value read back.
//!
//! ```text
//! minor-storage -p 8000 &
//! cargo run -p sdht --example quickstart -- 127.0.0.1:8000
//! ```

use std::{env, error::Error};

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).ok_or("name a storage: HOST:PORT")?;
    // The ring the storage is in; a new one if it is in none.
    sdht::join(&address)?;
    sdht::set("quickstart/greeting", "hello")?;
    let greeting: Option<String> = sdht::get("quickstart/greeting")?;
    println!("{}", greeting.ok_or("somebody else has deleted it")?);
    Ok(())
}
