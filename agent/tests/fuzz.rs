//! A bounded run of what the fuzz targets run without end: the seeds, and inputs near them.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

#[path = "../../fuzz/entry.rs"]
mod entry;

use entry::ENTRIES;

/// The seeds of a target.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
    let files = fs::read_dir(folder.join(name)).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// A change to an input.
#[derive(Clone, Debug)]
enum Mutation {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// A part of another seed in the place of a byte.
    Splice(Index, Index, Index),
    Repeat(usize),
}

/// Bytes that mean something to one of the parsers, more often than others.
fn byte() -> impl Strategy<Value = u8> {
    let telling = prop::sample::select(&b" \n\t\"=,:.*!@/-_#0f9xg\x00\xa0\xff"[..]);
    prop_oneof![2 => telling, 1 => any::<u8>()]
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        (at(), byte()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (at(), prop::collection::vec(byte(), 1..12)).prop_map(|(at, b)| Mutation::Insert(at, b)),
        (at(), 1usize..8).prop_map(|(at, count)| Mutation::Remove(at, count)),
        (at(), at(), at()).prop_map(|(at, seed, from)| Mutation::Splice(at, seed, from)),
        (2usize..40).prop_map(Mutation::Repeat),
    ]
}

fn mutate(input: &mut Vec<u8>, mutation: &Mutation, seeds: &[Vec<u8>]) {
    match mutation {
        Mutation::Set(at, byte) if !input.is_empty() => {
            let at = at.index(input.len());
            input[at] = *byte;
        }
        Mutation::Insert(at, bytes) => {
            let at = at.index(input.len() + 1);
            input.splice(at..at, bytes.iter().copied());
        }
        Mutation::Remove(at, count) => {
            let at = at.index(input.len() + 1);
            input.drain(at..(at + count).min(input.len()));
        }
        Mutation::Splice(at, seed, from) => {
            let (at, seed) = (at.index(input.len() + 1), seed.get(seeds));
            let from = from.index(seed.len() + 1);
            input.splice(at.., seed[from..].iter().copied());
        }
        // Longer than every limit there is, now and then.
        Mutation::Repeat(times) if input.len() < 4096 => *input = input.repeat(*times),
        Mutation::Set(..) | Mutation::Repeat(_) => {}
    }
}

#[test]
fn every_seed_holds() {
    for (name, run) in ENTRIES {
        let seeds = seeds(name);
        assert!(seeds.len() > 3, "{name} has {} seeds", seeds.len());
        seeds.iter().for_each(|seed| run(seed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn what_is_near_a_seed_holds(
        seed in any::<Index>(),
        mutations in prop::collection::vec(mutation(), 0..6),
    ) {
        for (name, run) in ENTRIES {
            let seeds = seeds(name);
            let mut input = seed.get(&seeds).clone();
            for mutation in &mutations {
                mutate(&mut input, mutation, &seeds);
            }
            run(&input);
        }
    }
}
