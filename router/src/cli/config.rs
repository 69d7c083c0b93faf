//! `sdht config`: each setting, and where it comes from.

use super::{Ended, console::Console};
use clap::Args;
use serde_json::json;

/// Print each setting and where it comes from.
///
/// A flag counts more than the environment, that more than the file ($XDG_CONFIG_HOME/sdht/config, lines of name = value),
/// that more than the ring used last.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht config
  SDHT_TIMEOUT=2s sdht config
  sdht config --json")]
pub(crate) struct Config {}

impl Config {
    pub(crate) fn run(&self, console: &Console) -> Ended {
        let settings = &console.settings;
        let token_file = settings.token_file.value.as_ref();
        let shown = |path: &Option<std::path::PathBuf>| {
            path.as_ref().map(|path| path.display().to_string())
        };
        let rows = [
            ("ring", Some(settings.ring.value.join(",")), settings.ring.origin.to_string()),
            (
                "token-file",
                token_file.map(|path| path.display().to_string()),
                settings.token_file.origin.to_string(),
            ),
            (
                "timeout",
                Some(format!("{:?}", settings.timeout.value)),
                settings.timeout.origin.to_string(),
            ),
        ];
        if console.json {
            let rows = rows.map(|(name, value, origin)| {
                (name.to_owned(), json!({ "value": value, "from": origin }))
            });
            let mut all: serde_json::Map<_, _> = rows.into_iter().collect();
            all.insert("file".into(), shown(&settings.file).into());
            all.insert("memory".into(), shown(&settings.memory).into());
            return console.object(all);
        }
        for (name, value, origin) in rows {
            console.print(format_args!("{name} = {}  # {origin}", value.unwrap_or_default()))?;
        }
        for (name, path) in [("file", &settings.file), ("memory", &settings.memory)] {
            console.print(format_args!(
                "# {name}: {}",
                shown(path).unwrap_or_else(|| "nowhere, as HOME is not set".into())
            ))?;
        }
        Ok(())
    }
}
