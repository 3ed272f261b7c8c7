//! What a setting is: the shape of one row.
//!
//! The rows themselves are in `rows`, by topic. Everything that knows about settings is made from
//! them: the parser, `ringkeeper check`, `ringkeeper settings` and `docs/operate/settings.md`.

/// One setting, stated once.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The key in `zoo.cfg`; a key that ends in `*` stands for a family such as `server.1`.
    pub key: &'static str,
    /// Where ZooKeeper itself reads the setting from.
    pub source: Source,
    /// System properties that are not simply `zookeeper.` and the key.
    pub properties: &'static [&'static str],
    /// Names the administrator's guide uses although ZooKeeper does not read them.
    pub aliases: &'static [&'static str],
    /// The variable of the official container image, or nothing.
    pub variable: &'static str,
    /// What a value looks like.
    pub kind: Kind,
    /// What holds when nobody says anything.
    pub preset: Preset,
    /// How ZooKeeper's own default compares.
    pub apache: Apache,
    /// What Ringkeeper does with the setting.
    pub disposition: Disposition,
    /// What it does with it where several servers are listed, unless that is the same.
    pub ensemble: Option<Disposition>,
    /// What the setting means, in one sentence.
    pub doc: &'static str,
}

/// Where ZooKeeper reads a setting from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Its configuration parser knows the key.
    Parsed,
    /// It is a Java system property; `zoo.cfg` reaches it only as `zookeeper.` and the key.
    Property,
    /// ZooKeeper does not have it: it is Ringkeeper's own.
    Own,
}

/// What the values of a setting look like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// `true` or `false`, in any case.
    Switch,
    /// `yes` or `no`, in any case.
    YesNo,
    /// A whole number within bounds, both included.
    Integer {
        /// The smallest value allowed.
        min: i64,
        /// The largest value allowed.
        max: i64,
        /// What is counted.
        unit: Unit,
    },
    /// A number with a fraction within bounds, both included.
    Decimal {
        /// The smallest value allowed.
        min: f64,
        /// The largest value allowed.
        max: f64,
    },
    /// `auto`, or a whole number of at least one up to this bound.
    AutoOrCount(u32),
    /// Any text.
    Text,
    /// Text that must not be shown to anybody.
    Secret,
    /// A path of the file system.
    Path,
    /// A host name or an IP address.
    Host,
    /// Words between commas.
    Words,
    /// One word of a list.
    Choice(&'static [&'static str]),
    /// What group commit aims at.
    CommitTarget,
}

impl Kind {
    /// What a value looks like, for a table.
    pub fn describe(self) -> String {
        match self {
            Kind::Switch => "true or false".to_owned(),
            Kind::YesNo => "yes or no".to_owned(),
            Kind::Integer { unit: Unit::Port, .. } => "a port".to_owned(),
            Kind::Integer { min, max, unit } => {
                let upper = match max {
                    i64::MAX => String::new(),
                    max if max == i64::from(i32::MAX) => String::new(),
                    max => format!(" to {max}"),
                };
                let unit = if unit.short().is_empty() { "a number" } else { unit.short() };
                format!("{unit}, from {min}{upper}")
            }
            Kind::Decimal { min, max } => format!("a fraction, from {min} to {max}"),
            Kind::AutoOrCount(max) => format!("auto, or a number up to {max}"),
            Kind::Text => "text".to_owned(),
            Kind::Secret => "text, never shown".to_owned(),
            Kind::Path => "a path".to_owned(),
            Kind::Host => "a host or IP address".to_owned(),
            Kind::Words => "words between commas".to_owned(),
            Kind::Choice(choices) => {
                let named: Vec<&str> =
                    choices.iter().copied().filter(|choice| !choice.is_empty()).collect();
                named.join(", ")
            }
            Kind::CommitTarget => "latency, throughput, or a bound such as p99<2ms".to_owned(),
        }
    }
}

/// What an integer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A plain number of things.
    Count,
    /// A TCP port.
    Port,
    /// Thousandths of a second.
    Milliseconds,
    /// Hours.
    Hours,
    /// Multiples of `tickTime`.
    Ticks,
    /// Bytes.
    Bytes,
    /// 1024 bytes.
    Kibibytes,
    /// 1024 × 1024 bytes.
    Mebibytes,
}

impl Unit {
    /// The unit as the object of "is not …".
    pub fn noun(self) -> &'static str {
        match self {
            Unit::Count => "a whole number",
            Unit::Port => "a port number",
            Unit::Milliseconds => "a number of milliseconds",
            Unit::Hours => "a number of hours",
            Unit::Ticks => "a number of ticks",
            Unit::Bytes => "a number of bytes",
            Unit::Kibibytes => "a number of KiB",
            Unit::Mebibytes => "a number of MiB",
        }
    }

    /// The short form used in tables, or nothing for plain numbers.
    pub fn short(self) -> &'static str {
        match self {
            Unit::Count | Unit::Port => "",
            Unit::Milliseconds => "ms",
            Unit::Hours => "h",
            Unit::Ticks => "ticks",
            Unit::Bytes => "bytes",
            Unit::Kibibytes => "KiB",
            Unit::Mebibytes => "MiB",
        }
    }
}

/// What holds when nobody says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// This value, written as in `zoo.cfg`.
    Is(&'static str),
    /// A value computed from other settings, described here.
    Derived(&'static str),
    /// Nothing: the setting is absent.
    Unset,
}

/// How ZooKeeper's default compares with ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apache {
    /// It is the same.
    Same,
    /// It differs.
    Differs {
        /// ZooKeeper's default.
        default: &'static str,
        /// Why ours is another one.
        why: &'static str,
    },
}

/// What Ringkeeper does with a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It has the effect it has in ZooKeeper.
    Honoured,
    /// A value other than the default stops the start, because going on without it would silently
    /// give less than was asked for.
    Refused(&'static str),
    /// It has no effect in this release, and the start says so.
    NotYet(&'static str),
    /// There is nothing here that it could change.
    NoMeaning(&'static str),
}

/// Whether a configuration lists several servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deployment {
    /// One server, or none, is listed: a server on its own.
    Standalone,
    /// Several servers are listed.
    Ensemble,
}

impl Disposition {
    /// One word or two, for tables.
    pub fn label(self) -> &'static str {
        match self {
            Disposition::Honoured => "honoured",
            Disposition::Refused(_) => "refused",
            Disposition::NotYet(_) => "not yet",
            Disposition::NoMeaning(_) => "no meaning",
        }
    }

    /// Why the setting is not simply honoured; empty when it is.
    pub fn reason(self) -> &'static str {
        match self {
            Disposition::Honoured => "",
            Disposition::Refused(why) | Disposition::NotYet(why) | Disposition::NoMeaning(why) => {
                why
            }
        }
    }
}

/// A group of rows that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Topic {
    /// The heading.
    pub title: &'static str,
    /// What the group is about, in a sentence.
    pub about: &'static str,
    /// The settings.
    pub rows: &'static [Row],
}

impl Row {
    /// A key ZooKeeper's configuration parser knows.
    pub(super) const fn parsed(key: &'static str, kind: Kind, preset: &'static str) -> Row {
        Row::new(key, Source::Parsed, kind, preset)
    }

    /// A Java system property, `zookeeper.` and the key unless [`Row::properties`] says otherwise.
    pub(super) const fn property(key: &'static str, kind: Kind, preset: &'static str) -> Row {
        Row::new(key, Source::Property, kind, preset)
    }

    /// A setting ZooKeeper does not have.
    pub(super) const fn own(key: &'static str, kind: Kind, preset: &'static str) -> Row {
        Row::new(key, Source::Own, kind, preset)
    }

    const fn new(key: &'static str, source: Source, kind: Kind, preset: &'static str) -> Row {
        Row {
            key,
            source,
            properties: &[],
            aliases: &[],
            variable: "",
            kind,
            preset: Preset::Is(preset),
            apache: Apache::Same,
            disposition: Disposition::Honoured,
            ensemble: None,
            doc: "",
        }
    }

    pub(super) const fn properties(mut self, properties: &'static [&'static str]) -> Row {
        self.properties = properties;
        self
    }

    pub(super) const fn aliases(mut self, aliases: &'static [&'static str]) -> Row {
        self.aliases = aliases;
        self
    }

    pub(super) const fn variable(mut self, variable: &'static str) -> Row {
        self.variable = variable;
        self
    }

    pub(super) const fn unset(mut self) -> Row {
        self.preset = Preset::Unset;
        self
    }

    pub(super) const fn derived(mut self, from: &'static str) -> Row {
        self.preset = Preset::Derived(from);
        self
    }

    pub(super) const fn apache(mut self, default: &'static str, why: &'static str) -> Row {
        self.apache = Apache::Differs { default, why };
        self
    }

    pub(super) const fn refused(mut self, why: &'static str) -> Row {
        self.disposition = Disposition::Refused(why);
        self
    }

    pub(super) const fn not_yet(mut self, why: &'static str) -> Row {
        self.disposition = Disposition::NotYet(why);
        self
    }

    pub(super) const fn no_meaning(mut self, why: &'static str) -> Row {
        self.disposition = Disposition::NoMeaning(why);
        self
    }

    /// What the setting does where several servers are listed.
    pub(super) const fn in_ensemble(mut self, disposition: Disposition) -> Row {
        self.ensemble = Some(disposition);
        self
    }

    pub(super) const fn doc(mut self, doc: &'static str) -> Row {
        self.doc = doc;
        self
    }

    /// Whether the row stands for many keys, such as `server.1`, `server.2`.
    pub fn is_family(&self) -> bool {
        self.key.ends_with('*')
    }

    /// What Ringkeeper does with the setting in a configuration of this kind.
    pub fn disposition_in(&self, deployment: Deployment) -> Disposition {
        match deployment {
            Deployment::Standalone => self.disposition,
            Deployment::Ensemble => self.ensemble.unwrap_or(self.disposition),
        }
    }

    /// The default, for a table.
    pub fn default_text(&self) -> &'static str {
        match self.preset {
            Preset::Is("") => "(empty)",
            Preset::Is(text) | Preset::Derived(text) => text,
            Preset::Unset => "(unset)",
        }
    }

    /// The system properties ZooKeeper reads, none for keys its parser takes from `zoo.cfg`.
    pub fn property_names(&self) -> Vec<String> {
        match self.source {
            Source::Parsed => self.properties.iter().map(|name| (*name).to_owned()).collect(),
            Source::Own => vec![self.key.to_owned()],
            Source::Property if self.properties.is_empty() => {
                vec![format!("zookeeper.{}", self.key)]
            }
            Source::Property => self.properties.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    /// Whether a line of `zoo.cfg` reaches the setting in ZooKeeper too.
    pub fn works_in_file(&self) -> bool {
        match self.source {
            Source::Parsed | Source::Own => true,
            Source::Property => {
                let prefixed = format!("zookeeper.{}", self.key);
                self.properties.is_empty() || self.properties.contains(&prefixed.as_str())
            }
        }
    }
}

/// How a name was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// The key of `zoo.cfg`.
    Key,
    /// The name of the system property.
    Property,
    /// The key behind a `zookeeper.` that ZooKeeper does not expect there.
    Prefixed,
    /// The heading of the administrator's guide.
    Guide,
}
