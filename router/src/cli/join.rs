//! `sdht join`: storages become a ring, or part of one.

use super::settings::Origin;
use super::{Care, Ended, console::Console, fail::Fail, preview, progress, settings};
use clap::Args;
use minor_protocol::{RingArc, message::PlainRecords};
use sdht::{NoRing, NotConnected, Position, Ring, Wanted, ring::RingMap};
use serde_json::json;

/// Make storages part of the ring; the first of all founds it.
///
/// Each takes half of the heaviest arc. Everything is served meanwhile, and a join that was stopped goes on where it was.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht join 127.0.0.1:8000 127.0.0.1:8001 127.0.0.1:8002
  sdht join 10.0.0.4:8000 --ring 10.0.0.1:8000
  sdht join 10.0.0.4:8000 --import --max-rate 10MiB
  sdht join 10.0.0.4:8000 --at 8000000000000000")]
pub(crate) struct Join {
    /// The storages.
    #[arg(required = true, value_name = "HOST:PORT", value_parser = settings::address)]
    addresses: Vec<String>,

    /// How many copies a ring that is founded keeps of everything.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=7))]
    copies: u8,

    /// The place to take: 16 hexadecimal digits, or 'hash' for the place of the address.
    #[arg(long, value_name = "POSITION", value_parser = place)]
    at: Option<Place>,

    /// Bring what a storage kept while it was in no ring into the ring; where the ring has another value under one of those
    /// keys, nothing is dropped and the storage stays out. Nobody should write to it meanwhile.
    #[arg(long, conflicts_with = "discard")]
    import: bool,

    /// Drop what a storage kept while it was in no ring.
    #[arg(long)]
    discard: bool,

    #[command(flatten)]
    care: Care,
}

/// What becomes of what a storage kept while it was in no ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alone {
    /// If there is anything, the storage stays out.
    KeepsItOut,
    ComesAlong,
    IsDropped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Hash,
    At(Position),
}

fn place(text: &str) -> Result<Place, String> {
    if text == "hash" {
        return Ok(Place::Hash);
    }
    let digits = text.len() <= 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let place = u64::from_str_radix(text, 16).ok().filter(|_| digits);
    place
        .map(|place| Place::At(Position(place)))
        .ok_or_else(|| "a place is 16 hexadecimal digits, or 'hash'".into())
}

impl Join {
    /// This storage, and nothing else that could be said.
    pub(crate) fn of(address: &str, alone: Alone) -> Self {
        let care = Care { yes: false, plan: false, max_rate: None };
        Self {
            addresses: vec![address.to_owned()],
            copies: 3,
            at: None,
            import: alone == Alone::ComesAlong,
            discard: alone == Alone::IsDropped,
            care,
        }
    }

    pub(crate) async fn run(&self, console: &Console) -> Ended {
        if self.at.is_some_and(|at| at != Place::Hash) && self.addresses.len() > 1 {
            return Err(Fail::usage("--at POSITION is for one storage at a time"));
        }
        let Some(ring) = self.ring(console).await? else { return Ok(()) };
        let ring = self.care.heed(ring).await;
        if !self.care.plan {
            console.settle_here();
        }
        let plain = if self.discard { PlainRecords::Discard } else { PlainRecords::Refuse };
        for address in &self.addresses {
            let at = self.at.map(|at| match at {
                Place::Hash => Position::of(address),
                Place::At(place) => place,
            });
            if self.care.plan {
                preview::show(console, &ring, Wanted::Join(address.clone(), at)).await?;
                continue;
            }
            let moving = match self.import {
                true => ring.join_with_records(address, at),
                false => ring.join_at(address, at, plain),
            };
            progress::follow(console, &format!("join {address}"), moving).await?;
            if console.json {
                console.object(json!({ "joined": address }))?;
            } else {
                console.print(format_args!("{address} is in the ring"))?;
            }
            console.flush()?;
        }
        Ok(())
    }

    /// The ring to join: the one that is named, or one that a storage to be joined is in, or a new one; none if it would only be
    /// founded.
    async fn ring(&self, console: &Console) -> Result<Option<Ring>, Fail> {
        let known = &console.settings.ring;
        let is_named = !matches!(known.origin, Origin::Memory(_) | Origin::BuiltIn);
        if is_named {
            match console.reach().await? {
                Ok(ring) => return Ok(Some(ring)),
                Err(NotConnected::NoRing(why @ NoRing::NotFounded(_))) => {
                    // Whoever names a ring means that one; a new one only if all that is named is to be in it.
                    if !known.value.iter().all(|named| self.addresses.contains(named)) {
                        return Err(Fail::from(why).next(format!(
                            "Name a storage that is in the ring ({}: {}); or join that one too, first of all, and it \
                             founds a ring.",
                            known.origin,
                            known.value.join(",")
                        )));
                    }
                }
                Err(other) => return Err(other.into()),
            }
        }
        // A storage whose join was broken off is of a ring of which it knows nothing yet.
        let mut knows_little = None;
        match console.connect(console.builder()?, &self.addresses).await {
            Ok(ring) if is_whole(&ring.arcs().await) => return Ok(Some(console.adopt(ring))),
            Ok(ring) => knows_little = Some(ring),
            Err(NotConnected::NoRing(NoRing::NotFounded(_))) => {}
            Err(NotConnected::NoRing(why @ NoRing::NobodyAnswers { .. })) => {
                let port = self.addresses[0].rsplit(':').next().unwrap_or_default();
                return Err(Fail::from(why).next(format!(
                    "Start it there ('minor-storage -p {port}'), and say the same again."
                )));
            }
            Err(other) => return Err(other.into()),
        }
        if !is_named {
            match console.connect(console.builder()?, &known.value).await {
                Ok(ring) => return Ok(Some(console.adopt(ring))),
                Err(NotConnected::NoRing(NoRing::NobodyAnswers { .. }))
                    if known.origin != Origin::BuiltIn =>
                {
                    let known = known.value.join(", ");
                    let what = format!("the ring used last does not answer ({known})");
                    return Err(Fail::other(what).passing().next(format!(
                        "Name the ring with --ring; or, for a new one, say --ring {} and found it.",
                        self.addresses[0]
                    )));
                }
                Err(_) => {}
            }
        }
        if let Some(ring) = knows_little {
            return Ok(Some(console.adopt(ring)));
        }
        if self.care.plan {
            let new = format!("{} would found a ring; nothing would move.", self.addresses[0]);
            console.say(new);
            return Ok(None);
        }
        self.found(console).await.map(Some)
    }

    async fn found(&self, console: &Console) -> Result<Ring, Fail> {
        let first = &self.addresses[0];
        let ring = console.builder()?.copies(self.copies).found(first.clone()).await?;
        console.say(format_args!("{first} is a new ring, of {} copies", self.copies));
        Ok(console.adopt(ring))
    }
}

/// Whether these arcs are a ring, without a gap.
fn is_whole(arcs: &[RingArc]) -> bool {
    let mut ring = RingMap::default();
    for arc in arcs {
        ring.learn(arc);
    }
    ring.tiled().is_some()
}
