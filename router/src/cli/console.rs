//! Where a verb stands: the ring it works on, the words it was given, and the two ways out, data and talk.

use super::{
    Care, Ended, Options,
    fail::{Code, Fail, said},
    memory::Memory,
    settings::{Origin, Settings},
};
use futures_util::future::{Either, select};
use sdht::{NotConnected, Ring, Token, counters::Counters, handle::Builder};
use serde::Serialize;
use std::{
    cell::{Cell, OnceCell, RefCell},
    convert::Infallible,
    fs,
    io::{self, BufRead, BufWriter, IsTerminal, Stdout, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    pin::pin,
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How often it is looked whom the command waits for.
const GLANCE: Duration = Duration::from_millis(250);
/// How often it is said that it does not get on.
const AGAIN: Duration = Duration::from_secs(10);

/// What a verb works with.
pub(crate) struct Console {
    pub(crate) settings: Settings,
    /// A program reads, not a person.
    pub(crate) json: bool,
    quiet: bool,
    memory: Option<Memory>,
    /// Where every router of this process counts what it does.
    pub(crate) counters: std::sync::Arc<Counters>,
    ring: OnceCell<Ring>,
    /// The one that is looked for.
    sought: RefCell<Option<Ring>>,
    /// This ring is to be remembered also in place of another one.
    settles: Cell<bool>,
    out: RefCell<BufWriter<Stdout>>,
}

impl Console {
    /// With what was typed.
    pub(crate) fn open(options: &Options) -> Result<Self, Fail> {
        let level = match (options.quiet, options.verbose) {
            (true, _) => "off",
            // What a keeper does, and what is changed at a door, is told unasked. What strangers send is no event: actix-http
            // would log every malformed request.
            (false, 0) => "sdht::keeper=info,sdht::door=info,warn,actix_http=off",
            (false, 1) => "sdht=info,warn,actix_http=off",
            (false, _) => "sdht=debug,info",
        };
        env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level)).init();
        let (settings, memory) = Settings::of(options)?;
        Ok(Self {
            settings,
            json: options.json,
            quiet: options.quiet,
            memory,
            counters: std::sync::Arc::default(),
            ring: OnceCell::new(),
            sought: RefCell::default(),
            settles: Cell::new(false),
            out: RefCell::new(BufWriter::new(io::stdout())),
        })
    }

    /// The end: what was printed is out, or the command has failed after all.
    pub(crate) fn close(self, ended: Ended) -> Ended {
        let flushed = self.out.into_inner().flush();
        ended.and(flushed.map_err(Fail::from))
    }

    /// The ring; comes to it when it is first asked for.
    pub(crate) async fn ring(&self) -> Result<Ring, Fail> {
        Ok(self.reach().await??)
    }

    /// The same for whoever wants to know why it cannot be reached.
    pub(crate) async fn reach(&self) -> Result<Result<Ring, NotConnected>, Fail> {
        if let Some(ring) = self.ring.get() {
            return Ok(Ok(ring.clone()));
        }
        let named = &self.settings.ring.value;
        let mut builder = self.builder()?;
        if let Some(memory) = self.memory_of(named) {
            builder = builder.known(memory.arcs.clone());
        }
        let ring = self.connect(builder, named).await;
        Ok(ring.map(|ring| self.adopt(ring)))
    }

    /// Comes to a ring; whom it waits for meanwhile is said.
    pub(crate) async fn connect(
        &self,
        builder: Builder,
        addresses: &[String],
    ) -> Result<Ring, NotConnected> {
        let ring = builder.open(addresses.to_vec()).await?;
        self.sought.replace(Some(ring.clone()));
        ring.find().await?;
        Ok(ring)
    }

    /// The ring, if this command has come to it.
    pub(crate) fn reached(&self) -> Option<Ring> {
        self.ring.get().cloned()
    }

    /// This is the ring of this command.
    pub(crate) fn adopt(&self, ring: Ring) -> Ring {
        self.ring.get_or_init(|| ring).clone()
    }

    /// From now on this command's ring is the one to be remembered, whatever was before.
    pub(crate) fn settle_here(&self) {
        self.settles.set(true);
    }

    /// Does something, and says meanwhile who is waited for.
    pub(crate) async fn aloud<T>(&self, work: impl Future<Output = T>) -> T {
        match select(pin!(work), pin!(self.say_who_is_waited_for())).await {
            Either::Left((done, _)) => done,
            Either::Right((never, _)) => match never {},
        }
    }

    /// Says whom the command waits for, each once, and what it tries in vain, as long as it takes.
    async fn say_who_is_waited_for(&self) -> Infallible {
        let mut said: Vec<String> = vec![];
        let mut said_why: Option<Instant> = None;
        loop {
            actix_rt::time::sleep(GLANCE).await;
            let sought = || self.sought.borrow().clone();
            let Some(ring) = self.ring.get().cloned().or_else(sought) else { continue };
            for address in ring.waited_for().await.into_keys() {
                if !said.contains(&address) {
                    self.say(format_args!("{address} does not answer; it is waited for"));
                    said.push(address);
                }
            }
            // Where somebody is waited for, that is why.
            if said.is_empty()
                && said_why.is_none_or(|said| said.elapsed() >= AGAIN)
                && let Some(why) = ring.held_up_by().await
            {
                self.say(format_args!(
                    "{why}. It is tried again until the time is up (--timeout)."
                ));
                said_why = Some(Instant::now());
            }
        }
    }

    /// A way to a ring that keeps to the settings.
    pub(crate) fn builder(&self) -> Result<Builder, Fail> {
        let counters = std::sync::Arc::clone(&self.counters);
        let timeout = &self.settings.timeout;
        let mut builder = Ring::builder().timeout(timeout.value).counted(counters);
        if timeout.origin != Origin::BuiltIn {
            builder = builder.stall(timeout.value);
        }
        match &self.settings.token_file.value {
            Some(path) => Ok(builder.token(token(path)?)),
            None => Ok(builder),
        }
    }

    /// The memory, if it is of the ring that these storages are part of.
    fn memory_of(&self, named: &[String]) -> Option<&Memory> {
        let memory = self.memory.as_ref()?;
        let known = memory.addresses();
        named.iter().any(|address| known.contains(address)).then_some(memory)
    }

    /// Writes down the arcs that were seen. Whoever names another ring for once does not lose the one that is remembered.
    pub(crate) async fn remember(&self) {
        let (Some(ring), Some(path)) = (self.ring.get(), &self.settings.memory) else { return };
        let Some(seen) = Memory::of(ring.arcs().await) else { return };
        let before = self.memory.as_ref();
        let was_used = matches!(self.settings.ring.origin, Origin::Memory(_));
        if let Some(before) = before.filter(|before| before.ring() != seen.ring()) {
            if self.settles.get() {
                self.say(format_args!(
                    "From now on ring {} is the one that is used; before, it was ring {}.",
                    seen.ring(),
                    before.ring()
                ));
            } else if was_used {
                self.say(format_args!(
                    "The ring {} used last is no more; this was ring {}.",
                    before.ring(),
                    seen.ring()
                ));
            } else {
                return;
            }
        }
        if before != Some(&seen)
            && let Err(why) = seen.write(path)
        {
            log::info!("the ring is not remembered in {}: {why}", path.display());
        }
    }

    /// These storages are gone for good; if the ring that is remembered was made of them, so is it.
    pub(crate) fn forget(&self, gone: &[String]) {
        let (Some(memory), Some(path)) = (&self.memory, &self.settings.memory) else { return };
        if memory.addresses().iter().all(|address| gone.contains(address))
            && let Err(why) = fs::remove_file(path)
        {
            log::info!("the ring is not forgotten in {}: {why}", path.display());
        }
    }

    /// One line of data.
    pub(crate) fn print(&self, line: impl std::fmt::Display) -> Ended {
        Ok(writeln!(self.out.borrow_mut(), "{line}")?)
    }

    /// Bytes of data, as they are.
    pub(crate) fn write(&self, bytes: &[u8]) -> Ended {
        Ok(self.out.borrow_mut().write_all(bytes)?)
    }

    /// One object of data, on a line of its own.
    pub(crate) fn object(&self, object: impl Serialize) -> Ended {
        let mut out = self.out.borrow_mut();
        serde_json::to_writer(&mut *out, &object).map_err(io::Error::from)?;
        Ok(out.write_all(b"\n")?)
    }

    /// What was printed is shown now.
    pub(crate) fn flush(&self) -> Ended {
        Ok(self.out.borrow_mut().flush()?)
    }

    /// Talk, for a person who did not ask for quiet.
    pub(crate) fn say(&self, line: impl std::fmt::Display) {
        if !self.quiet {
            // What was printed before is shown before; if that fails, the end will tell.
            let _ = self.out.borrow_mut().flush();
            said(&line.to_string());
        }
    }

    /// Whether nobody wants to hear how it goes.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Asks before something that cannot be taken back.
    pub(crate) async fn confirm(&self, care: &Care, question: &str) -> Ended {
        if care.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(
                Fail::usage(question).next("Nobody is there to answer: say --yes if you mean it.")
            );
        }
        let _ = write!(io::stderr(), "{question} Go on? [y/N] ");
        // On a thread that nobody waits for when it is given up.
        let (tell, told) = oneshot::channel();
        thread::spawn(move || {
            let mut answer = String::new();
            tell.send(io::stdin().lock().read_line(&mut answer).map(|_| answer))
        });
        let answer = told.await.map_err(io::Error::other)??;
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err(Fail::new(Code::NotMet, "left as it is")),
        }
    }
}

/// The token in a file that not everybody can read.
pub(crate) fn token(path: &Path) -> Result<Token, Fail> {
    let no = |why: String| Fail::usage(format!("token file {}: {why}", path.display()));
    let mode = fs::metadata(path).map_err(|why| no(why.to_string()))?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(
            no("others can read it".into()).next(format!("Close it: chmod o= {}", path.display()))
        );
    }
    let text = fs::read_to_string(path).map_err(|why| no(why.to_string()))?;
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Token::new(first).ok_or_else(|| no("it holds no token of visible letters".into()))
}
