//! Hyperparameters as AWS's training toolkit reads them and as its SDK writes them. Pure.

use serde_json::Value;

/// Reads a hyperparameter as the toolkit does: as JSON where it is JSON, else as it is.
///
/// `0.1` is a number, `true` a truth value, `"x"` with quotes the text x, and `007` stays the text 007.
pub fn decode(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// Writes it as the text of a variable or of an argument.
pub fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Writes it so that the toolkit reads it back: what is JSON stays as it is, anything else becomes a quoted string.
pub fn encode(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(_) => text.to_owned(),
        Err(_) => Value::String(text.to_owned()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hyperparameters_decode_like_the_toolkit() {
        assert_eq!(decode("0.1"), json!(0.1));
        assert_eq!(decode("true"), json!(true));
        assert_eq!(decode("007"), json!("007"));
        assert_eq!(decode("1e5"), json!(1e5));
        assert_eq!(decode("null"), Value::Null);
        assert_eq!(decode("\"quoted\""), json!("quoted"));
        assert_eq!(decode("gini"), json!("gini"));
        assert_eq!(as_text(&decode("\"quoted\"")), "quoted");
        assert_eq!(as_text(&decode("[1, 2]")), "[1,2]");
    }

    /// Whether the text goes through raw or as JSON, the program sees the same value.
    #[test]
    fn what_is_encoded_decodes_to_the_same() {
        for text in ["007", "true", "1e5", "null", "0.1", "gini", "it's \"so\"", "", "[1]", "{\"a\":", "\"q\""] {
            assert_eq!(decode(&encode(text)), decode(text), "{text}");
        }
        assert_eq!(encode("007"), "\"007\"");
        assert_eq!(encode("train.py"), "\"train.py\"");
    }
}
