//! What follows from several settings together: defaults that depend on others, and contradictions.

use ringkeeper_engine::log::gathering::Target;

use super::origin::{Origin, Problem, Warning};
use super::resolve::{Held, Values};
use super::suggest;
use super::value::Value;

/// The words that ZooKeeper knows. A name in `4lw.commands.whitelist` that is none of them never
/// matches, be it for a blank or a quote in it.
const WORDS: &[&str] = &[
    "conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "isro", "lead", "mntr", "ruok",
    "srst", "srvr", "stat", "stmk", "wchc", "wchp", "wchs",
];

/// The smallest and the largest file of the log, in kB: see [`ringkeeper_engine::log::Settings`].
const SEGMENT_KB_MIN: i64 = 16;
const SEGMENT_KB_MAX: i64 = 2 << 20;

/// The values, and what is said about them.
pub(super) struct Rules<'a> {
    pub(super) values: &'a mut Values,
    pub(super) warnings: &'a mut Vec<Warning>,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl Rules<'_> {
    /// Applies all rules. Bad values have been replaced by defaults before, so that one mistake is
    /// not reported twice.
    pub(super) fn apply(&mut self) {
        self.session_timeouts();
        self.log_directory();
        self.sizes();
        self.flush();
        self.commit_target();
        self.limits();
        self.retention();
        self.four_letter_words();
        self.authentication();
        self.observation();
    }

    fn problem(&mut self, key: &str, text: &str) {
        self.problems.push(self.values.problem(key, text));
    }

    fn warn(&mut self, key: &str, text: &str) {
        self.warnings.push(self.values.warning(key, text));
    }

    /// A number that was not given, or given as "use the default", is computed.
    fn fill(&mut self, key: &'static str, number: i64, from: &'static str) {
        if self.values.number(key).is_none_or(|given| given < 0) {
            self.values.set_number(key, number, Origin::Derived(from));
        }
    }

    fn session_timeouts(&mut self) {
        let tick = self.values.number("tickTime").expect("it has a default");
        let ticks = |count: i64| (tick * count).min(i64::from(i32::MAX));
        self.fill("minSessionTimeout", ticks(2), "2 × tickTime");
        self.fill("maxSessionTimeout", ticks(20), "20 × tickTime");
        let min = self.values.number("minSessionTimeout").expect("just filled");
        let max = self.values.number("maxSessionTimeout").expect("just filled");
        if min <= max {
            return;
        }
        let given = *self.values.origin("minSessionTimeout") != Origin::Derived("2 × tickTime");
        let (key, other, advice) = if given {
            ("minSessionTimeout", format!("larger than maxSessionTimeout, {max}"), max)
        } else {
            ("maxSessionTimeout", format!("smaller than minSessionTimeout, {min}"), min)
        };
        let number = self.values.number(key).expect("just filled");
        self.problem(key, &format!("{number} is {other}; write {key}={advice}"));
    }

    fn log_directory(&mut self) {
        if self.values.held("dataLogDir").value == Value::Absent {
            let Held { value, text, .. } = self.values.held("dataDir").clone();
            let origin = Origin::Derived("dataDir");
            self.values.set("dataLogDir", Held { value, text, origin });
        }
    }

    fn sizes(&mut self) {
        let backlog = self.values.number("clientPortListenBacklog").expect("it has a default");
        if backlog <= 0 {
            let (key, from) = ("clientPortListenBacklog", "4096");
            self.values.set_number(key, 4096, Origin::Derived(from));
        }
        let key = "preAllocSize";
        let kilobytes = self.values.number(key).expect("it has a default");
        let used = kilobytes.clamp(SEGMENT_KB_MIN, SEGMENT_KB_MAX);
        if used != kilobytes {
            let text =
                format!("a file of the log has {used} kB, not {kilobytes}: write {key}={used}");
            self.warn(key, &text);
        }
    }

    fn flush(&mut self) {
        let delay = self.values.number("flushDelay").expect("it has a default");
        self.fill("maxWriteQueuePollTime", delay / 3, "flushDelay ÷ 3");
        if self.values.held("forceSync").value == Value::Switch(false) {
            self.warn("forceSync", "a power failure now loses writes that were acknowledged");
        }
        if self.values.held("skipACL").value == Value::Switch(true) {
            self.warn("skipACL", "everybody who reaches the server may now do everything");
        }
    }

    fn commit_target(&mut self) {
        let key = "ringkeeper.commit.target";
        let delay = self.values.number("flushDelay").expect("it has a default");
        let target: Target = self.values.get(key);
        if delay > 0 && target != Target::Latency {
            self.warn(key, "it has no effect: flushDelay sets how long a sync waits");
        }
    }

    fn limits(&mut self) {
        let max = self.values.number("largeRequestMaxBytes").expect("it has a default");
        let from = self.values.number("largeRequestThreshold").expect("it has a default");
        if from >= max {
            let text = format!("a request of more than {from} bytes never fits into {max}");
            self.warn("largeRequestThreshold", &text);
        }
        let waits = self.values.number("throttled_op_wait_time") != Some(0);
        if waits && self.values.number("request_throttle_max_requests") == Some(0) {
            let text = "nothing is held back without request_throttle_max_requests";
            self.warn("throttled_op_wait_time", text);
        }
    }

    fn retention(&mut self) {
        let key = "autopurge.snapRetainCount";
        let count = self.values.number(key).expect("it has a default");
        if count < 3 {
            self.warn(key, &format!("{count} is too few to be safe; 3 snapshots are kept"));
            self.values.set_number(key, 3, self.values.origin(key).clone());
        }
        let key = "autopurge.purgeInterval";
        if self.values.number(key) != Some(0) {
            return;
        }
        // The container image sets its variable to 0 for everybody, which is nobody's wish.
        let image = Origin::Variable("ZOO_AUTOPURGE_PURGEINTERVAL".to_owned());
        if *self.values.origin(key) == image {
            let origin = Origin::Derived("after each snapshot");
            self.values.set(key, Held { value: Value::Absent, text: String::new(), origin });
        } else {
            self.warn(
                key,
                "nothing is ever deleted; remove the setting to delete after each snapshot",
            );
        }
    }

    /// ZooKeeper's own start script needs srvr, and clients that look for a read-only server need
    /// isro, so that both are answered even if they are not listed.
    fn four_letter_words(&mut self) {
        let key = "4lw.commands.whitelist";
        let Held { value, text, origin } = self.values.held(key).clone();
        let Value::Words(mut words) = value else { panic!("{key} is a list of words") };
        for word in words.iter().filter(|word| word != &"*" && !WORDS.contains(&word.as_str())) {
            let near = suggest::nearest(word.trim_matches(['"', '\'']), WORDS.iter().copied());
            let near = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
            let text = format!("\"{word}\" is no four-letter word, so it allows none{near}");
            let apart =
                if word.contains(char::is_whitespace) { "; put commas between words" } else { "" };
            self.warn(key, &(text + apart));
        }
        words.push("srvr".to_owned());
        if self.values.get::<bool>("readonlymode.enabled") {
            words.push("isro".to_owned());
        }
        self.values.set(key, Held { value: Value::Words(words), text, origin });
    }

    fn observation(&mut self) {
        let key = "admin.commandURL";
        let path: String = self.values.get(key);
        if !path.starts_with('/') || path.contains(['?', '#', ' ']) {
            let text = format!("\"{path}\" is no path; write {key}=/commands");
            self.problem(key, &text);
        } else if ["/metrics", "/ready", "/live"].contains(&path.trim_end_matches('/')) {
            let text = format!("{path} is taken by something else; write {key}=/commands");
            self.problem(key, &text);
        }
        let key = "metricsProvider.className";
        let class: String = self.values.get(key);
        let known = ["PrometheusMetricsProvider", "DefaultMetricsProvider", "NullMetricsProvider"];
        if !known.contains(&class.rsplit('.').next().unwrap_or_default()) {
            let text = "Java classes cannot be loaded here; remove it, or name \
                        org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";
            self.problem(key, text);
        }
    }

    fn authentication(&mut self) {
        let key = "enforce.auth.schemes";
        let schemes: Vec<String> = self.values.get(key);
        let enforced: bool = self.values.get("enforce.auth.enabled");
        if enforced && schemes.is_empty() {
            let text = "true needs at least one scheme; write enforce.auth.schemes=digest as well";
            self.problem("enforce.auth.enabled", text);
        }
        let tls = self.values.number("secureClientPort").is_some()
            || self.values.get::<bool>("client.portUnification");
        let known: &[&str] =
            if tls { &["digest", "ip", "sasl", "x509"] } else { &["digest", "ip", "sasl"] };
        for scheme in schemes.iter().filter(|scheme| !known.contains(&scheme.as_str())) {
            let known = known.join(", ");
            let text = format!("\"{scheme}\" is not a scheme that is offered; there are {known}");
            self.problem(key, &text);
        }
        if enforced
            && !self.values.get::<bool>("DigestAuthenticationProvider.enabled")
            && schemes.iter().any(|scheme| scheme == "digest")
        {
            self.problem(key, "digest is asked for but DigestAuthenticationProvider.enabled=false");
        }
        // Java has two names for one algorithm.
        let key = "DigestAuthenticationProvider.digestAlg";
        if self.values.get::<String>(key) == "SHA-1" {
            let Held { text, origin, .. } = self.values.held(key).clone();
            self.values.set(key, Held { value: Value::Text("SHA1".to_owned()), text, origin });
        }
        let key = "DigestAuthenticationProvider.superDigest";
        if let Value::Text(text) = &self.values.held(key).value
            && !text.starts_with("super:")
        {
            self.warn(key, "nobody can be this user; the form is super: and a digest");
        }
    }
}
