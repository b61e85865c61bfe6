//! Symbols that no position tells apart, as one class.

use super::positions::{Reading, Symbols};
use std::collections::HashMap;

/// Symbols below this have their class in a table.
const TABLED: u32 = 256;

/// One more than the last character.
const END: u32 = 0x11_0000;

/// Tells for each symbol its class.
#[derive(Clone, Debug)]
pub(super) struct Alphabet {
    tabled: Box<[u16; TABLED as usize]>,
    /// Where runs of symbols begin that have one class, in ascending order.
    begins: Vec<u32>,
    classes: Vec<u16>,
    /// Most comparisons that finding the class of one symbol takes.
    pub(super) comparisons: usize,
}

impl Alphabet {
    /// With the `symbols`, by their places, that hold each class, by its number.
    pub(super) fn new(symbols: &[Symbols], reading: Reading) -> (Self, Vec<Vec<usize>>) {
        let mut changes: Vec<(u32, usize)> = Vec::new();
        for (id, ranges) in symbols.iter().enumerate() {
            for (start, end) in ranges {
                changes.extend([(*start, id), (end + 1, id)]);
            }
        }
        changes.sort_unstable();
        let mut known: HashMap<Vec<usize>, u16> = HashMap::new();
        let mut holders: Vec<Vec<usize>> = Vec::new();
        let mut class = |now: &[usize]| -> u16 {
            *known.entry(now.to_vec()).or_insert_with(|| {
                holders.push(now.to_vec());
                u16::try_from(holders.len() - 1).unwrap_or(u16::MAX)
            })
        };
        // What none holds is the first.
        let mut now: Vec<usize> = Vec::new();
        let (mut begins, mut classes) = (vec![0], vec![class(&now)]);
        for at in changes.chunk_by(|one, other| one.0 == other.0) {
            for (_, id) in at {
                match now.binary_search(id) {
                    Ok(place) => drop(now.remove(place)),
                    Err(place) => now.insert(place, *id),
                }
            }
            let begin = at.first().map_or(END, |change| change.0);
            begins.push(begin);
            classes.push(class(&now));
        }
        let of = |symbol: u32| class_of(&begins, &classes, symbol);
        let tabled = std::array::from_fn(|symbol| u32::try_from(symbol).map_or(0, of));
        let comparisons = match reading {
            Reading::Bytes => 0,
            Reading::Characters => usize::try_from(begins.len().ilog2()).unwrap_or(0) + 1,
        };
        (Self { tabled: Box::new(tabled), begins, classes, comparisons }, holders)
    }

    pub(super) fn class(&self, symbol: u32) -> usize {
        let tabled = usize::try_from(symbol).ok().and_then(|symbol| self.tabled.get(symbol));
        usize::from(match tabled {
            Some(class) => *class,
            None => class_of(&self.begins, &self.classes, symbol),
        })
    }
}

fn class_of(begins: &[u32], classes: &[u16], symbol: u32) -> u16 {
    let behind = begins.partition_point(|begin| *begin <= symbol);
    classes.get(behind.wrapping_sub(1)).copied().unwrap_or(0)
}
