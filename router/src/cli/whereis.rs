//! `sdht whereis`: which storages keep a key; and with `--check`, what each of them holds of it.

use super::{
    Ended,
    console::Console,
    fail::{Code, Fail},
    table,
};
use clap::Args;
use minor_protocol::Key;
use sdht::{
    NotGot,
    look::compared::{Copy, Told, compared},
};

/// Tell which storages keep a key; the first of them has its place on the ring at the end of the key's arc.
///
/// With --check each is asked what it holds; the code is 8 if they are not of one mind.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht whereis greeting
  sdht whereis greeting --check
  sdht whereis photos/cat --check --json")]
pub(crate) struct Whereis {
    /// The key; it need not have a value.
    key: String,

    /// Ask each storage for its stamp, bytes and checksum.
    #[arg(long)]
    check: bool,
}

impl Whereis {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let ring = console.ring().await?;
        // The memory may be out of date; this is asked by people who want to know.
        ring.walk().await?;
        let key = Key::new(self.key.as_str()).map_err(NotGot::from)?;
        let told = if self.check {
            compared(&key, ring.look(key.clone()).await?)
        } else {
            let arcs = ring.arcs().await;
            let arc = arcs.into_iter().find(|arc| arc.span.holds(key.position()));
            let arc = arc.ok_or_else(|| Fail::other("no storage keeps that key's arc"))?;
            Told::by_arc(&key, &arc)
        };
        print(&told, console)?;
        match told.agree {
            Some(false) => Err(Fail::silent(Code::Degraded)),
            _ => Ok(()),
        }
    }
}

fn print(told: &Told<'_>, console: &Console) -> Ended {
    if console.json {
        return console.object(told);
    }
    console.print(format_args!(
        "'{}' lies at {}, in the arc ({}, {}] of epoch {}",
        told.key, told.place, told.from, told.to, told.epoch
    ))?;
    let mut rows = table::of(match told.agree {
        Some(_) => &["storage", "stamp", "bytes", "checksum", "verdict"],
        None => &["storage"],
    });
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    for copy in &told.storages {
        let filling = if copy.filling { " (being filled)" } else { "" };
        let mut row = vec![format!("{}{filling}", copy.address)];
        if let Some(verdict) = &copy.verdict {
            row.extend([
                or_none(copy.stamp.clone()),
                or_none(copy.bytes.map(|bytes| bytes.to_string())),
                or_none(copy.checksum.clone()),
                if copy.expired { format!("{verdict}, expired") } else { verdict.to_string() },
            ]);
        }
        rows.add_row(row);
    }
    console.print(table::text(&rows))?;
    match told.agree {
        None => Ok(()),
        Some(true) => console.print("All copies agree."),
        Some(false) if told.storages.iter().any(Copy::differs) => console.print(
            "They do not all agree. A majority decides what is read; 'sdht repair' makes them alike.",
        ),
        Some(false) => console.print("Those that were seen agree; 'sdht status' tells of the others."),
    }
}
