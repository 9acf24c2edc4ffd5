//! The nearest word, for "did you mean".

/// Longer words are not worth comparing: nobody mistypes those.
const LONGEST: usize = 32;

/// The candidate closest to `word`, if it is close enough to be what was meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let word: Vec<char> = word.chars().take(LONGEST + 1).flat_map(char::to_lowercase).collect();
    if word.len() > LONGEST {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| {
            (distance(&word, &candidate.chars().flat_map(char::to_lowercase).collect::<Vec<_>>()), candidate)
        })
        // A third of the word may be wrong, in a short word one letter; all of it never.
        .filter(|(distance, candidate)| {
            let length = word.len().max(candidate.chars().count());
            *distance <= (length / 3).max(1) && *distance < word.len()
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

/// How many letters must be changed, added, dropped or swapped with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1; b.len() + 1];
        for j in 0..b.len() {
            let changed = last[j] + usize::from(a[i] != b[j]);
            row[j + 1] = changed.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                row[j + 1] = row[j + 1].min(before_last[j - 1] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let words = ["dport", "sport", "process", "pid"];
        for (word, expected) in [
            ("dprot", Some("dport")),
            ("Procces", Some("process")),
            ("pidd", Some("pid")),
            ("zz", None),
            ("x", None),
            ("completely", None),
        ] {
            assert_eq!(nearest(word, words).as_deref(), expected, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), words), None);
    }
}
