//! Counts what is asked, and tells how the storage stands whenever Prometheus comes by.

use super::place::{KINDS, Place};
use crate::{
    nodeinfo::{Health, NodeInfo},
    storage::Storage,
};
use actix_web::http::StatusCode;
use minor_manners::body::InFlight;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
        histogram::Histogram,
    },
    registry::Registry,
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Seconds: from a cached read to what only a very ill disk takes.
const BUCKETS: [f64; 12] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];
/// 1xx to 5xx.
const CLASSES: usize = 5;

/// Everything that is counted. Each counter is found once, so that counting a request looks nothing up.
pub(super) struct Metrics {
    registry: Registry,
    requests: [[Counter; CLASSES]; KINDS],
    seconds: [Histogram; KINDS],
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Which {
    place: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Where {
    place: &'static str,
}

impl Metrics {
    pub(super) fn new(
        storage: &Arc<Storage>,
        in_flight: &InFlight,
        connections: &Connections,
        begun: Instant,
        set_aside: u64,
    ) -> Self {
        let mut registry = Registry::with_prefix("minor_storage");
        let requests = Family::<Which, Counter>::default();
        let seconds = Family::<Where, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        registry.register("requests", "Requests answered", requests.clone());
        registry.register("request_seconds", "From a head read to its answer", seconds.clone());
        registry.register_collector(Box::new(Standing {
            storage: storage.clone(),
            in_flight: in_flight.clone(),
            connections: connections.clone(),
            begun,
            set_aside,
        }));
        let names = Place::all().map(|place| place.kind().1);
        let statuses = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        let requests = names.map(|place| {
            statuses.map(|status| requests.get_or_create(&Which { place, status }).clone())
        });
        let seconds = names.map(|place| seconds.get_or_create(&Where { place }).clone());
        Self { registry, requests, seconds }
    }

    /// Counts one request.
    pub(super) fn count(&self, place: Place<'_>, status: StatusCode, took: Duration) {
        let (place, _) = place.kind();
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES) - 1;
        self.requests[place][class].inc();
        self.seconds[place].observe(took.as_secs_f64());
    }

    /// All of it, as Prometheus reads it.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("a text takes whatever is written to it");
        text
    }
}

/// Connections that are open now.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections(Arc<AtomicUsize>);

/// One of them.
pub(super) struct Connected(Connections);

impl Connections {
    pub(super) fn one_more(&self) -> Connected {
        self.0.fetch_add(1, Ordering::Relaxed);
        Connected(self.clone())
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is looked at only when asked for.
struct Standing {
    storage: Arc<Storage>,
    in_flight: InFlight,
    connections: Connections,
    begun: Instant,
    set_aside: u64,
}

impl Collector for Standing {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let info = NodeInfo::of(&self.storage, self.begun.elapsed().as_secs(), vec![]);
        let damaged = info.arcs.iter().filter(|arc| arc.damaged).count() as u64;
        let ready = u64::from(info.state == Health::Serving);
        let now = [
            ("records", "Records, tombstones among them", info.keys + info.tombstones),
            ("tombstones", "Deleted keys that are still to be swept", info.tombstones),
            ("bytes", "Bytes of keys and records", info.bytes),
            ("disk_used_bytes", "Bytes the data takes on disk", info.disk.used),
            ("disk_free_bytes", "Bytes free on that disk", info.disk.free),
            ("arcs", "Arcs it keeps", info.arcs.len() as u64),
            ("damaged_arcs", "Arcs whose data it does not trust", damaged),
            ("set_aside", "Directories set aside because of damage", self.set_aside),
            (
                "in_flight_bytes",
                "Bytes of requests and answers held",
                self.in_flight.bytes() as u64,
            ),
            ("connections", "Open connections", self.connections.0.load(Ordering::Relaxed) as u64),
            ("uptime_seconds", "Since it was started", info.uptime_s),
            ("ready", "1 if it takes whatever comes", ready),
        ];
        for (name, help, value) in now {
            // The text's numbers are signed; no disk is as large as to mind.
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let ever = [
            ("commits", "Groups made durable", self.storage.stats().commits),
            ("starts", "How often it was started", info.starts),
        ];
        for (name, help, value) in ever {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(
                name,
                help,
                None,
                counter.metric_type(),
            )?)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standing").finish_non_exhaustive()
    }
}
