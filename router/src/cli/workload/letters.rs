//! The workloads of YCSB, by their letters.

use super::{chance::Chance, keys::Distribution};

/// A workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Letter {
    /// Half reads, half updates.
    #[value(name = "a", alias = "A")]
    A,
    /// 95 reads to 5 updates.
    #[value(name = "b", alias = "B")]
    B,
    /// Only reads.
    #[value(name = "c", alias = "C")]
    C,
    /// 95 reads to 5 inserts; what was inserted last is read most.
    #[value(name = "d", alias = "D")]
    D,
    /// 95 scans, of up to 100 keys with neighbouring names, to 5 inserts.
    #[value(name = "e", alias = "E")]
    E,
    /// Half reads, half reads followed by an update that holds only if nobody else was faster.
    #[value(name = "f", alias = "F")]
    F,
}

/// One kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Read,
    Update,
    Insert,
    Scan,
    Modify,
}

/// The most keys of one scan.
pub(crate) const SCANNED: u64 = 100;

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Read, Self::Update, Self::Insert, Self::Scan, Self::Modify];

    /// For people and programs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Update => "update",
            Self::Insert => "insert",
            Self::Scan => "scan",
            Self::Modify => "read-modify-write",
        }
    }
}

impl Letter {
    /// The kind that is more frequent, its percentage, and the other one.
    fn mix(self) -> (Kind, u64, Kind) {
        match self {
            Self::A => (Kind::Read, 50, Kind::Update),
            Self::B => (Kind::Read, 95, Kind::Update),
            Self::C => (Kind::Read, 100, Kind::Read),
            Self::D => (Kind::Read, 95, Kind::Insert),
            Self::E => (Kind::Scan, 95, Kind::Insert),
            Self::F => (Kind::Read, 50, Kind::Modify),
        }
    }

    /// What comes next.
    pub(crate) fn draw(self, chance: &mut Chance) -> Kind {
        let (often, percent, other) = self.mix();
        if chance.below(100) < percent { often } else { other }
    }

    /// How its keys are drawn unless somebody wishes otherwise.
    pub(crate) fn distribution(self) -> Distribution {
        if self == Self::D { Distribution::Latest } else { Distribution::Zipfian }
    }

    /// For people and programs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
            Self::E => "E",
            Self::F => "F",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_letter_mixes_what_ycsb_says() {
        let shares = |letter: Letter| {
            let mut chance = Chance::new(11);
            let drawn: Vec<Kind> = (0..20_000).map(|_| letter.draw(&mut chance)).collect();
            Kind::ALL.map(|kind| {
                let count = drawn.iter().filter(|drawn| **drawn == kind).count();
                (count as f64 / 200.0).round() as u64
            })
        };
        let near = |letter, expected: [u64; 5]| {
            let shares = shares(letter);
            let fits = shares.iter().zip(expected).all(|(share, want)| share.abs_diff(want) <= 1);
            assert!(fits, "{letter:?}: {shares:?}");
        };
        near(Letter::A, [50, 50, 0, 0, 0]);
        near(Letter::B, [95, 5, 0, 0, 0]);
        near(Letter::C, [100, 0, 0, 0, 0]);
        near(Letter::D, [95, 0, 5, 0, 0]);
        near(Letter::E, [0, 0, 5, 95, 0]);
        near(Letter::F, [50, 0, 0, 0, 50]);
    }
}
