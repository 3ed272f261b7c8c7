//! Errors as one line.

/// An error with its causes, each once: some repeat theirs themselves.
pub(crate) fn error_text(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text += &format!(": {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_listed_once() {
        let error = anyhow::anyhow!("no room").context("cannot write x: no room").context("so");
        assert_eq!(error_text(&error), "so: cannot write x: no room");
    }
}
