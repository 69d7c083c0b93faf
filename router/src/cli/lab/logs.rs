//! `sdht lab logs`: what the storages say.

use super::{
    super::{Ended, console::Console, fail::Fail},
    folder,
    storage::Storage,
};
use clap::Args;
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
    time::Duration,
};

/// Print what storages have said, each line behind its port.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht lab logs
  sdht lab logs 8002 -n 20
  sdht lab logs --follow")]
pub(crate) struct Logs {
    /// Only of the storage on this port.
    port: Option<u16>,

    /// Only the last so many lines of each.
    #[arg(short = 'n', long, value_name = "COUNT")]
    lines: Option<usize>,

    /// Go on with what they say from now on, until it is stopped.
    #[arg(short, long)]
    follow: bool,
}

const EVERY: Duration = Duration::from_millis(250);

impl Logs {
    pub(crate) async fn run(&self, console: &Console, dir: &Path) -> Ended {
        let lab = folder::Lab::read(dir)?.ok_or_else(|| folder::nothing_in(dir))?;
        let wanted = |storage: &&Storage| self.port.is_none_or(|port| port == storage.port);
        let storages: Vec<&Storage> = lab.storages.iter().filter(wanted).collect();
        if let (Some(port), true) = (self.port, storages.is_empty()) {
            return Err(Fail::usage(format!("no storage of this lab is on port {port}"))
                .next("'sdht lab status' shows which there are."));
        }
        let mut read = BTreeMap::new();
        let mut most = self.lines;
        loop {
            for storage in &storages {
                let begin = read.entry(storage.port).or_insert(0);
                let text = said_since(&storage.log(dir), begin)?;
                let lines: Vec<&str> = text.lines().collect();
                let skipped = lines.len().saturating_sub(most.unwrap_or(usize::MAX));
                for line in &lines[skipped..] {
                    if console.json {
                        console.object(json!({ "port": storage.port, "line": line }))?;
                    } else {
                        console.print(format_args!("{}  {line}", storage.port))?;
                    }
                }
            }
            if !self.follow {
                return Ok(());
            }
            most = None;
            console.flush()?;
            actix_rt::time::sleep(EVERY).await;
        }
    }
}

/// The whole lines that came since; a storage that was never started has said nothing.
fn said_since(log: &Path, begin: &mut u64) -> Result<String, Fail> {
    let Ok(mut file) = File::open(log) else { return Ok(String::new()) };
    let mut bytes = vec![];
    let read = file.seek(SeekFrom::Start(*begin)).and_then(|_| file.read_to_end(&mut bytes));
    read.map_err(|why| Fail::file(log, why))?;
    bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    *begin += bytes.len() as u64;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
