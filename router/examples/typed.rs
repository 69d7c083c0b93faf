//! Values of your own types: whatever serde can write is kept as CBOR, and comes back as what it was.
//!
//! ```text
//! cargo run -p sdht --example typed -- 127.0.0.1:8000
//! ```

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, env, error::Error};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Fruit,
    Tool { weight_g: u32 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Article {
    name: String,
    kind: Kind,
    prices: BTreeMap<String, f64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).ok_or("name a storage: HOST:PORT")?;
    sdht::join(&address)?;
    let hammer = Article {
        name: "hammer".into(),
        kind: Kind::Tool { weight_g: 800 },
        prices: [("EUR".into(), 12.5), ("USD".into(), 14.0)].into(),
    };
    let apple = Article { name: "apple".into(), kind: Kind::Fruit, prices: BTreeMap::new() };
    for article in [&hammer, &apple] {
        sdht::set(&format!("articles/{}", article.name), article)?;
    }
    let found: Option<Article> = sdht::get("articles/hammer")?;
    assert_eq!(found, Some(hammer));
    println!("{:?}", found.ok_or("somebody else has deleted it")?);

    // Asked for as something it is not, it is an error, and no guess.
    let wrong = sdht::get::<u64>("articles/apple");
    println!("{}", wrong.err().ok_or("an article is no number")?);
    Ok(())
}
