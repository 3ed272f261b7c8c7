//! Enums whose variants have names in reports.

/// An enum with a name for each variant, in the order of reports.
macro_rules! named {
    (
        $(#[$meta:meta])* pub(crate) enum $enum:ident {
            $($(#[$doc:meta])* $variant:ident = $name:literal,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub(crate) enum $enum {
            $($(#[$doc])* $variant,)*
        }

        impl $enum {
            const ALL: &[$enum] = &[$($enum::$variant),*];

            /// How many there are.
            pub(crate) const COUNT: usize = $enum::ALL.len();

            /// All of them, in the order of reports.
            pub(crate) fn all() -> impl Iterator<Item = $enum> {
                $enum::ALL.iter().copied()
            }

            /// Name in reports.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $($enum::$variant => $name,)*
                }
            }
        }
    };
}

pub(crate) use named;
