//! What is good enough for a password: long, not what everybody takes, and nothing of its owner's
//! (NIST SP 800-63B §5.1.1.2).
//!
//! `common.txt` is the list of common and breached passwords that Django ships (20,000 entries by
//! Royce Williams, made from the hashes of Have I Been Pwned; BSD-3-Clause): those of six letters
//! and more, sorted. A word of it with a few figures or signs around it is as common as the word.

use base::{Code, Error, Result, Secret};

use super::LONGEST;

const COMMON: &str = include_str!("common.txt");
/// So many letters around a common word do not make it another one.
const DECORATION: usize = 6;
/// Fewer different letters are a pattern.
const FEWEST_DIFFERENT: usize = 5;

/// Whether a password may be chosen by the owner of this e-mail address.
///
/// # Errors
/// [`Code::PasswordWeak`], which says all that is wrong.
pub fn check(password: &Secret, email: Option<&str>, shortest: usize) -> Result<()> {
    let password = password.expose();
    let mut wrong = Vec::new();
    if password.chars().count() < shortest {
        wrong.push(format!("must be at least {shortest} characters long"));
    }
    if password.len() > LONGEST {
        wrong.push(format!("must be at most {LONGEST} bytes long"));
    }
    let lower = password.to_lowercase();
    if wrong.is_empty() {
        if is_of(&lower, email) {
            wrong.push("must not be your e-mail address or made of it".to_owned());
        }
        if is_pattern(&lower) {
            wrong.push("must not be a repetition or a sequence".to_owned());
        } else if is_common(&lower) {
            wrong.push("must not be a password that is commonly used or was breached".to_owned());
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let message = format!(
        "Password does not meet the required policy: {}.",
        wrong.join(", ")
    );
    Err(Error::new(Code::PasswordWeak, message).param("password"))
}

/// Whether a password is an address, its name or its host with a little around it.
fn is_of(lower: &str, email: Option<&str>) -> bool {
    let Some(email) = email.map(str::to_lowercase) else {
        return false;
    };
    let (name, host) = email.split_once('@').unwrap_or((&email, ""));
    let is_most = |part: &str| {
        part.len() >= 4 && lower.contains(part) && lower.len() <= part.len() + DECORATION
    };
    is_most(&email) || is_most(name) || is_most(host)
}

fn is_pattern(lower: &str) -> bool {
    let letters: Vec<char> = lower.chars().collect();
    let mut different = letters.clone();
    different.sort_unstable();
    different.dedup();
    if different.len() < FEWEST_DIFFERENT {
        return true;
    }
    let pairs = || {
        letters
            .windows(2)
            .map(|pair| (pair[0] as i64, pair[1] as i64))
    };
    let up = pairs().filter(|(one, next)| next - one == 1).count();
    let down = pairs().filter(|(one, next)| one - next == 1).count();
    let most = letters.len() * 3 / 4;
    let is_sequence = up >= most || down >= most;
    // the same few letters over and over
    let is_repetition = (1..=letters.len() / 2)
        .any(|length| length < 8 && letters.chunks(length).all(|part| letters.starts_with(part)));
    is_sequence || is_repetition
}

fn is_common(lower: &str) -> bool {
    if is_listed(lower) || is_listed(&plain(lower)) {
        return true;
    }
    [lower.to_owned(), plain(lower)].iter().any(|text| {
        let word = text.trim_matches(|letter: char| !letter.is_alphabetic());
        let half = word.get(..word.len() / 2).unwrap_or_default();
        let doubled = !half.is_empty() && word == format!("{half}{half}");
        (is_listed(word) && lower.chars().count() <= word.chars().count() + DECORATION)
            || (doubled && is_listed(half))
    })
}

/// The word behind letters that are replaced by figures.
fn plain(lower: &str) -> String {
    let letter = |letter| match letter {
        '@' | '4' => 'a',
        '3' => 'e',
        '1' | '!' => 'i',
        '0' => 'o',
        '$' | '5' => 's',
        '7' => 't',
        other => other,
    };
    let end = lower.trim_end_matches(|letter: char| !letter.is_alphabetic());
    let (word, rest) = lower.split_at(end.len());
    word.chars().map(letter).chain(rest.chars()).collect()
}

/// Whether a word stands in the list: a binary search by lines.
fn is_listed(word: &str) -> bool {
    let (mut low, mut high) = (0, COMMON.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let start = COMMON.as_bytes()[..middle]
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |before| before + 1);
        let rest = &COMMON[start..];
        let line = rest.lines().next().unwrap_or_default();
        match line.cmp(word) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = start + line.len() + 1,
            std::cmp::Ordering::Greater => high = start,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(password: &str) -> Option<String> {
        let checked = check(&Secret::new(password), Some("ada.lovelace@example.com"), 12);
        checked.err().map(|error| {
            assert_eq!((error.status(), error.kind()), (400, "validation_error"));
            error.message().to_owned()
        })
    }

    #[test]
    fn good_passwords_are_taken() {
        for password in [
            "Str0ng-Passw0rd-9!",
            "An0ther-Passw0rd!",
            "correct horse battery staple",
            "пароль из четырёх слов",
            "Xq7#mLw2pR9z",
        ] {
            assert_eq!(refused(password), None, "{password}");
        }
    }

    #[test]
    fn weak_passwords_are_refused_with_the_reason() {
        for (password, reason) in [
            ("short", "at least 12 characters"),
            ("", "at least 12 characters"),
            ("aaaaaaaaaaaaaaaa", "repetition"),
            ("abcabcabcabcabc", "repetition"),
            ("Hello1Hello1Hello1", "repetition"),
            ("123456789012345", "sequence"),
            ("abcdefghijklmno", "sequence"),
            ("zyxwvutsrqponm", "sequence"),
            ("Password1234!", "commonly used"),
            ("P@ssw0rd2026", "commonly used"),
            ("passwordpassword", "commonly used"),
            ("qwertyuiop12", "commonly used"),
            ("!!!Liverpool1!", "commonly used"),
            ("ada.lovelace@example.com", "e-mail address"),
            ("Ada.Lovelace1!", "e-mail address"),
        ] {
            let said = refused(password).unwrap_or_else(|| panic!("{password} was taken"));
            assert!(said.contains(reason), "{password}: {said}");
        }
        assert!(refused(&"Xq7#mLw2pR9z".repeat(100)).is_some());
    }

    #[test]
    fn every_line_of_the_list_is_found() {
        let mut before = "";
        for line in COMMON.lines() {
            assert!(before < line, "{before} stands before {line}");
            assert!(is_listed(line), "{line}");
            before = line;
        }
        for absent in ["", "a", "zzzzzzzzzzzz", "tollgate gateway"] {
            assert!(!is_listed(absent), "{absent}");
        }
    }
}
