//! `sdht remove`: storages let go of all they keep, and leave.

use super::{
    Care, Ended,
    console::Console,
    fail::{Code, Fail},
    preview, progress, settings,
};
use clap::Args;
use sdht::{
    Loss, NotMoved, Ring, Wanted,
    moves::{Leaver, Presence},
};
use serde_json::json;

/// Hand everything a storage keeps to its neighbours, verified, and let it go. It serves meanwhile.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht remove 127.0.0.1:8002
  sdht remove 127.0.0.1:8002 --plan
  sdht remove 10.0.0.4:8000 --dead")]
pub(crate) struct Remove {
    /// The storages.
    #[arg(required = true, value_name = "HOST:PORT", value_parser = settings::address)]
    addresses: Vec<String>,

    /// It is dead and never comes back: what it kept is copied from those who keep it too.
    #[arg(long)]
    dead: bool,

    /// Too many are dead: go on with what is left, and say what may be missing.
    #[arg(long, requires = "dead")]
    accept_loss: bool,

    /// It is the last one: delete every key of the ring.
    #[arg(long, conflicts_with = "dead")]
    destroy_data: bool,

    #[command(flatten)]
    care: Care,
}

impl Remove {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let ring = self.care.ring(console).await?;
        if self.dead && !self.care.plan {
            return self.let_go_of_the_dead(console, &ring).await;
        }
        let mut is_anybody_there = false;
        for address in &self.addresses {
            // For a plan it does not matter who answers.
            let walked = if self.care.plan { ring.walk().await? } else { ring.survey().await? };
            let Some(leaver) = Leaver::at(address, &walked) else {
                let is_there = |address: &String| Leaver::at(address, &walked).is_some();
                if !is_anybody_there && !self.addresses.iter().any(is_there) {
                    return Err(NotMoved::Unknown { address: address.clone() }.into());
                }
                // Where this was interrupted before, some are out already.
                self.pass_over(console, address);
                continue;
            };
            is_anybody_there = true;
            if leaver.is_last {
                return self.the_last(console, &ring, address).await;
            }
            if self.destroy_data {
                return Err(Fail::new(
                    Code::NotMet,
                    format!("{address} is not the last storage of the ring: nothing needs to be destroyed"),
                )
                .next(format!("sdht remove {address}")));
            }
            if self.care.plan {
                preview::show(console, &ring, Wanted::Leave(leaver.storage)).await?;
                continue;
            }
            match leaver.presence {
                Presence::Answers => {}
                Presence::Replaced => {
                    return Err(NotMoved::Replaced { address: address.clone() }.into());
                }
                Presence::Silent => {
                    return Err(Fail::other(format!("{address} does not answer")).next(format!(
                        "Start it again; or, if it never comes back: sdht remove {address} --dead"
                    )));
                }
            }
            let moving = ring.leave_by_id(leaver.storage);
            progress::follow(console, &format!("remove {address}"), moving).await?;
            self.say(console, address)?;
        }
        Ok(())
    }

    fn pass_over(&self, console: &Console, address: &str) {
        console.say(format_args!("{address} is not in the ring, and is passed over"));
    }

    fn say(&self, console: &Console, address: &str) -> Ended {
        if console.json {
            console.object(json!({ "removed": address }))?;
        } else {
            console.print(format_args!("{address} has left the ring"))?;
        }
        console.flush()
    }

    /// All of them at once: what one kept, another may have kept too.
    async fn let_go_of_the_dead(&self, console: &Console, ring: &Ring) -> Ended {
        let loss = if self.accept_loss {
            let question = "What only these storages kept is given up.";
            console.confirm(&self.care, question).await?;
            Loss::Accepted
        } else {
            Loss::Refused
        };
        let what = format!("remove {}", self.addresses.join(" "));
        let arcs = ring.arcs().await;
        progress::follow(console, &what, ring.evict(self.addresses.clone(), loss)).await?;
        for address in &self.addresses {
            let mut members = arcs.iter().flat_map(|arc| &arc.members);
            if members.any(|member| member.address == *address) {
                self.say(console, address)?;
            } else {
                self.pass_over(console, address);
            }
        }
        if self.accept_loss {
            console.say(
                "Should one of them ever be started again, then with another directory: by itself it does not know that it is \
                 out, and whoever asks it alone is told of old times.",
            );
        }
        Ok(())
    }

    /// Nobody is there to hand anything to.
    async fn the_last(&self, console: &Console, ring: &Ring, address: &str) -> Ended {
        if !self.destroy_data {
            return Err(Fail::new(
                Code::NotMet,
                format!(
                    "{address} is the last storage of the ring: nobody else would keep its data"
                ),
            )
            .next(
                "Save it first (sdht export -o FILE), then say --destroy-data; or join another.",
            ));
        }
        let question = format!("Every key of the ring at {address} is deleted.");
        console.confirm(&self.care, &question).await?;
        let (mut keys, mut deleted) = (ring.keys(""), 0_u64);
        while let Some(key) = keys.next().await {
            deleted += u64::from(ring.delete(key?.as_str()).await?);
        }
        if console.json {
            return console.object(json!({ "destroyed": address, "keys": deleted }));
        }
        console.print(format_args!(
            "{deleted} keys were deleted; {address} keeps an empty ring of one, and may be stopped for good"
        ))
    }
}
