//! Makes an input from others: bits, bytes, parts and words, changed a few times over.

use crate::random::Random;

/// Longer inputs show nothing that shorter ones do not.
const LONGEST: usize = 64 << 10;

pub(crate) fn mutate(random: &mut Random, corpus: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut input = random.of_these(corpus).clone();
    for _ in 0..=random.below(4) {
        change(random, &mut input, corpus, words);
    }
    input.truncate(LONGEST);
    input
}

fn change(random: &mut Random, input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&str]) {
    let at = random.below(input.len() + 1);
    let to = (at + random.below(16)).min(input.len());
    match random.below(9) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = u8::try_from(random.below(256)).unwrap(),
        2 => {
            input.drain(at..to);
        }
        3 => {
            let part = input[at..to].to_vec();
            let times = 1 + random.below(8);
            input.splice(at..at, part.repeat(times));
        }
        4 => input.truncate(at),
        5 => {
            let other = random.of_these(corpus);
            let from = random.below(other.len() + 1);
            let part = other[from..].to_vec();
            input.truncate(at);
            input.extend(part);
        }
        6 if !words.is_empty() => {
            let word = random.of_these(words).as_bytes().to_vec();
            input.splice(at..at, word);
        }
        7 if !words.is_empty() => {
            let word = random.of_these(words).as_bytes().to_vec();
            input.splice(at..to, word);
        }
        _ => {
            let byte = u8::try_from(random.below(256)).unwrap();
            input.insert(at, byte);
        }
    }
}
