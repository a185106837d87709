//! What may break a rule, each with its reason.

use super::Finding;

/// A rule, the file (or `file#function`) that may break it, and why.
struct Exception {
    rule: &'static str,
    subject: &'static str,
    reason: &'static str,
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        rule: "function-length",
        subject: "crates/server/src/status/tests.rs#one_of_each",
        reason: "one error of every kind, for the golden page",
    },
    Exception {
        rule: "function-length",
        subject: "crates/protocol/src/json/tests/numbers.rs#whole_numbers_keep_to_their_range_and_small_ones_wrap",
        reason: "one table of cases",
    },
    Exception {
        rule: "function-length",
        subject: "crates/protocol/src/json/tests/refusals.rs#bad_syntax_says_what_and_where",
        reason: "one table of cases",
    },
    Exception {
        rule: "clocks",
        subject: "crates/repository/src/source.rs",
        reason: "the one place that asks for the date; the poller, which decides, is told it",
    },
    Exception {
        rule: "clocks",
        subject: "crates/cli/src/stores.rs",
        reason: "hands the date to the mirrors of stores, which are told how to ask for it",
    },
    Exception {
        rule: "tests",
        subject: "crates/testkit/src/fake.rs",
        reason: "an engine that is slow on purpose, where a test asks for one",
    },
];

/// Takes away what is excepted, and adds exceptions that nothing needs any more.
pub(super) fn apply(findings: Vec<Finding>) -> Vec<Finding> {
    apply_table(EXCEPTIONS, findings)
}

fn apply_table(exceptions: &[Exception], findings: Vec<Finding>) -> Vec<Finding> {
    let covers = |exception: &Exception, finding: &Finding| {
        exception.rule == finding.rule && exception.subject == finding.subject
    };
    let stale = exceptions
        .iter()
        .filter(|exception| !findings.iter().any(|finding| covers(exception, finding)));
    let stale: Vec<Finding> = stale
        .map(|exception| {
            let Exception {
                subject, reason, ..
            } = exception;
            let message = format!("{subject} needs its exception no more: {reason}");
            Finding::of_file(exception.rule, "xtask/src/tidy/exceptions.rs", message)
        })
        .collect();
    let left = findings.into_iter().filter(|finding| {
        !exceptions
            .iter()
            .any(|exception| covers(exception, finding))
    });
    left.chain(stale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_covers_its_file_and_goes_stale() {
        let finding = |path| Finding::of_file("file-length", path, "too long");
        let exceptions = [Exception {
            rule: "file-length",
            subject: "a.rs",
            reason: "one table",
        }];
        assert_eq!(
            apply_table(&exceptions, vec![finding("a.rs"), finding("b.rs")]),
            [finding("b.rs")]
        );
        let stale = apply_table(&exceptions, vec![]);
        assert_eq!(stale.len(), 1);
        assert!(
            stale[0]
                .message
                .contains("a.rs needs its exception no more")
        );
    }
}
