//! Values of options: spacing, and the shape of a tree.

use std::str::FromStr;

/// How the arrivals of an open loop are spaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Arrival {
    /// Evenly.
    Fixed,
    /// At random, as from many independent users.
    Poisson,
}

/// A tree: every node above the leaves has so many children.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    pub depth: u32,
    pub fan_out: u32,
}

impl Shape {
    /// Leaves at most.
    pub(crate) const LEAVES_MAX: u32 = 1_000_000;

    /// Leaves, unless there are too many.
    pub(crate) fn leaves(self) -> Option<u32> {
        let leaves = self.fan_out.checked_pow(self.depth)?;
        (1..=Shape::LEAVES_MAX).contains(&leaves).then_some(leaves)
    }

    /// The path of a node on a level, below `root`.
    pub(crate) fn path(self, root: &str, level: u32, mut number: u32) -> String {
        let mut names = Vec::new();
        for _ in 0..level {
            names.push(number % self.fan_out);
            number /= self.fan_out;
        }
        let names = names.iter().rev().map(|name| format!("/{name}"));
        format!("{root}{}", names.collect::<String>())
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Shape, String> {
        let numbers = text.split_once('x').and_then(|(depth, fan_out)| {
            Some(Shape { depth: depth.parse().ok()?, fan_out: fan_out.parse().ok()? })
        });
        let legal = numbers.filter(|shape| shape.depth > 0 && shape.leaves().is_some());
        legal.ok_or_else(|| {
            format!("DEPTHxFAN-OUT with at most {} leaves is expected", Shape::LEAVES_MAX)
        })
    }
}
