//! Which characters of a text cannot be seen: they reorder what stands around them, or take no place of their own.

/// Tells whether a character is invisible, other than a control character: direction marks, characters without width, and
/// what Unicode calls "default ignorable", with the separators that break a line.
///
/// The two selectors that only choose how an emoji looks (U+FE0E, U+FE0F) are not among them.
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0d}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reorders_or_takes_no_place_is_invisible() {
        for c in
            ['\u{200b}', '\u{200d}', '\u{202e}', '\u{2066}', '\u{2060}', '\u{feff}', '\u{ad}', '\u{e0041}', '\u{2028}']
        {
            assert!(is_invisible(c), "{:?}", c);
        }
        for c in ['a', ' ', 'é', '🦀', '\u{fe0f}', '-', '中', '\u{fffd}'] {
            assert!(!is_invisible(c), "{:?}", c);
        }
    }
}
