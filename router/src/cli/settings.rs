//! Settings, and where each of them comes from: a flag, the environment, the file, the memory, or nowhere.
//!
//! ```text
//!   --ring  >  SDHT_RING  >  ring = … in $XDG_CONFIG_HOME/sdht/config  >  the ring used last  >  127.0.0.1:8000
//! ```

use super::{Options, fail::Fail, memory::Memory};
use etcetera::{BaseStrategy, base_strategy::Xdg};
use std::{
    env, fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

/// Where a setting comes from, the strongest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag(&'static str),
    Environment(&'static str),
    File(PathBuf),
    Memory(PathBuf),
    BuiltIn,
}

/// All settings.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) ring: Setting<Vec<String>>,
    pub(crate) token_file: Setting<Option<PathBuf>>,
    pub(crate) timeout: Setting<Duration>,
    /// The settings' file, whether it is there or not.
    pub(crate) file: Option<PathBuf>,
    /// The memory's file, whether it is there or not.
    pub(crate) memory: Option<PathBuf>,
}

/// Addresses of storages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addresses(pub(crate) Vec<String>);

const RING: &str = "127.0.0.1:8000";
const TIMEOUT: Duration = Duration::from_secs(10);

impl Settings {
    /// What holds for this call; and the memory, which is one of the places settings come from.
    pub(crate) fn of(options: &Options) -> Result<(Self, Option<Memory>), Fail> {
        let places = Xdg::new().ok();
        let file = places.as_ref().map(|places| places.config_dir().join("sdht").join("config"));
        let state = places.as_ref().and_then(Xdg::state_dir);
        let memory = state.map(|state| state.join("sdht").join("ring.json"));
        let remembered = memory.as_deref().and_then(Memory::read);
        let written = match &file {
            Some(path) => Written::read(path)?,
            None => Written::default(),
        };

        let ring = first_of([
            options.ring.clone().map(|ring| (ring, Origin::Flag("--ring"))),
            from_environment("SDHT_RING", addresses)?,
            from_file(&file, "ring", &written.ring, addresses)?,
            remembered.as_ref().zip(memory.clone()).map(|(remembered, path)| {
                (Addresses(remembered.addresses()), Origin::Memory(path))
            }),
        ]);
        let Setting { value: Addresses(ring), origin } =
            ring.unwrap_or_else(|| built_in(Addresses(vec![RING.into()])));
        let path = |text: &str| Ok(PathBuf::from(text));
        let token_file = first_of([
            options.token_file.clone().map(|path| (path, Origin::Flag("--token-file"))),
            from_environment("SDHT_TOKEN_FILE", path)?,
            from_file(&file, "token-file", &written.token_file, path)?,
        ]);
        let timeout = first_of([
            options.timeout.map(|timeout| (timeout, Origin::Flag("--timeout"))),
            from_environment("SDHT_TIMEOUT", duration)?,
            from_file(&file, "timeout", &written.timeout, duration)?,
        ]);
        let settings = Self {
            ring: Setting { value: ring, origin },
            token_file: match token_file {
                Some(Setting { value, origin }) => Setting { value: Some(value), origin },
                None => built_in(None),
            },
            timeout: timeout.unwrap_or_else(|| built_in(TIMEOUT)),
            file,
            memory,
        };
        Ok((settings, remembered))
    }
}

fn built_in<T>(value: T) -> Setting<T> {
    Setting { value, origin: Origin::BuiltIn }
}

fn first_of<T, const N: usize>(given: [Option<(T, Origin)>; N]) -> Option<Setting<T>> {
    given.into_iter().flatten().next().map(|(value, origin)| Setting { value, origin })
}

/// What a variable says; an empty one says nothing.
fn from_environment<T>(
    name: &'static str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<(T, Origin)>, Fail> {
    let Some(text) = env::var_os(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let text = text.to_string_lossy();
    let value = read(&text).map_err(|why| Fail::usage(format!("{name}={text}: {why}")))?;
    Ok(Some((value, Origin::Environment(name))))
}

fn from_file<T>(
    file: &Option<PathBuf>,
    name: &str,
    text: &Option<String>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<(T, Origin)>, Fail> {
    let (Some(file), Some(text)) = (file, text) else { return Ok(None) };
    let value =
        read(text).map_err(|why| Fail::usage(format!("{}: {name}: {why}", file.display())))?;
    Ok(Some((value, Origin::File(file.clone()))))
}

/// What stands in the settings' file: lines of `name = value`, and comments behind a `#`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Written {
    ring: Option<String>,
    token_file: Option<String>,
    timeout: Option<String>,
}

impl Written {
    fn read(path: &Path) -> Result<Self, Fail> {
        match fs::read_to_string(path) {
            Ok(text) => {
                Self::parse(&text).map_err(|why| Fail::usage(format!("{}: {why}", path.display())))
            }
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(why) => Err(Fail::usage(format!("{}: {why}", path.display()))),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut written = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let no = |why| Err(format!("line {number}: {why}"));
            let Some((name, value)) = line.split_once('=') else {
                return no("a setting reads name = value");
            };
            let setting = match name.trim() {
                "ring" => &mut written.ring,
                "token-file" => &mut written.token_file,
                "timeout" => &mut written.timeout,
                _ => return no("there are the settings ring, token-file and timeout"),
            };
            if setting.replace(value.trim().to_owned()).is_some() {
                return no("that was set already");
            }
        }
        Ok(written)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => f.write_str(name),
            Self::Environment(name) => write!(f, "environment, {name}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Memory(path) => write!(f, "the ring used last, {}", path.display()),
            Self::BuiltIn => f.write_str("built in"),
        }
    }
}

/// `HOST:PORT`, or several of them.
pub(crate) fn addresses(text: &str) -> Result<Addresses, String> {
    let all: Vec<String> = text.split(',').map(|one| one.trim().to_owned()).collect();
    all.iter().try_for_each(|one| address(one).map(drop))?;
    Ok(Addresses(all))
}

/// `HOST:PORT`.
pub(crate) fn address(text: &str) -> Result<String, String> {
    let is_place = |(host, port): &(&str, &str)| {
        !host.is_empty()
            && !host.contains(['/', '@', ' '])
            && (!host.contains(':') || host.starts_with('[') && host.ends_with(']'))
            && port.parse::<u16>().is_ok_and(|port| port != 0)
    };
    match text.rsplit_once(':').filter(is_place) {
        Some(_) => Ok(text.to_owned()),
        None => Err("an address reads HOST:PORT".into()),
    }
}

/// A time as people write it: `10s`, `1h 30m`, `2d`; a bare number is in seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let why = || "a time reads as 10s, 500ms, 2m or 1h 30m".to_owned();
    let text = match text.parse::<u64>() {
        Ok(seconds) => format!("{seconds}s"),
        Err(_) => text.to_owned(),
    };
    let span: jiff::Span = text.parse().map_err(|_| why())?;
    let exact = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| why())?;
    Duration::try_from(exact).ok().filter(|time| !time.is_zero()).ok_or_else(why)
}

/// Bytes as people write them: `10MiB`, `500k`, `2000000`.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let why = || "bytes read as 2000000, 500k, 10MB or 10MiB".to_owned();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor: u64 = match unit.trim().to_ascii_lowercase().trim_end_matches('b') {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "ki" => 1 << 10,
        "mi" => 1 << 20,
        "gi" => 1 << 30,
        _ => return Err(why()),
    };
    let number = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    number.filter(|bytes| *bytes > 0).ok_or_else(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_people_write_it() {
        for (text, ms) in
            [("10", 10_000), ("500ms", 500), ("1h 30m", 5_400_000), ("2d", 172_800_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "0", "-5s", "soon", "10x", "1month"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_are_read_as_people_write_them() {
        for (text, number) in [
            ("1", 1),
            ("500k", 500_000),
            ("10MB", 10_000_000),
            ("10 MiB", 10 << 20),
            ("2g", 2_000_000_000),
        ] {
            assert_eq!(bytes(text), Ok(number), "{text}");
        }
        for text in ["", "0", "-1", "k", "1x", "99999999999G"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in ["a:1", "10.0.0.1:8000", "[::1]:8000"] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in ["a", ":1", "a:", "a:0", "a:99999", "::1:80", "http://a:1", "a:1/x"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_file_holds_lines_of_names_and_values() {
        let written = Written::parse("# mine\n\nring = a:1, b:2 # two\ntimeout=3s\n").unwrap();
        assert_eq!(
            (written.ring.as_deref(), written.timeout.as_deref()),
            (Some("a:1, b:2"), Some("3s"))
        );
        for bad in ["ring", "colour = red", "ring = a:1\nring = b:1"] {
            assert!(Written::parse(bad).is_err(), "{bad}");
        }
    }
}
