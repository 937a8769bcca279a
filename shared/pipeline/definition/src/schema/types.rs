//! The values of a definition as JSON Schema: the form of each text, and limits.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value as Json, json};
use towline_buildspec::generate::REPORT_FORMATS;

use crate::limits;
use crate::words;

/// A kind of value, described by its schema.
macro_rules! value {
    ($name:ident, $about:literal, $schema:tt) => {
        #[doc = $about]
        pub enum $name {}

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let mut schema = json_schema!($schema);
                schema.insert("description".into(), $about.into());
                schema
            }
        }
    };
}

/// One of a few words.
macro_rules! word {
    ($name:ident, $about:literal, $words:expr) => {
        #[doc = $about]
        pub enum $name {}

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let words: Vec<&str> = $words;
                json_schema!({"enum": words})
            }
        }
    };
}

/// One value or a list of them.
macro_rules! one_or_more {
    ($name:ident, $about:literal, $of:ty, $limits:tt) => {
        #[doc = $about]
        pub enum $name {}

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let one = generator.subschema_for::<$of>();
                let mut list = json_schema!($limits);
                list.insert("type".into(), "array".into());
                list.insert("items".into(), one.clone().into());
                json_schema!({"description": $about, "anyOf": [one, list]})
            }
        }
    };
}

/// The version of the format.
pub(crate) fn version(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"const": 1})
}

/// A mapping whose keys the author chooses.
pub struct Named<K, V>(PhantomData<(K, V)>);

impl<K: JsonSchema, V: JsonSchema> JsonSchema for Named<K, V> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}_by_{}", V::schema_name(), K::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "propertyNames": generator.subschema_for::<K>(),
            "additionalProperties": generator.subschema_for::<V>(),
        })
    }
}

fn words<T>(known: &[(&'static str, T)]) -> Vec<&'static str> {
    known.iter().map(|(word, _)| *word).collect()
}

fn up_to(most: usize) -> String {
    format!("{{1,{most}}}")
}

value!(Text, "A text that is not empty.", {"type": "string", "minLength": 1});
one_or_more!(Texts, "One text or a list of texts.", Text, {});

value!(
    Label,
    "1 to 63 of a-z, 0-9 and '-', starting with a letter or digit.",
    {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$"}
);
value!(
    StageName,
    "1 to 63 of a-z, 0-9 and '-', starting with a letter or digit; not 'build', where every image starts.",
    {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$", "not": {"const": "build"}}
);
value!(
    RepositoryName,
    "A GitHub repository, as owner/name.",
    {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}$"}
);
value!(
    ImageRepository,
    "An ECR repository: lower-case letters and digits, in parts joined by / . _ or -.",
    {
        "type": "string",
        "minLength": 2,
        "maxLength": 256,
        "pattern": "^[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*$",
        "not": {"pattern": "^towline-cache/"}
    }
);
value!(
    Tag,
    "An image tag: 1 to 128 of A-Z, a-z, 0-9, '_', '.' and '-', not starting with '.' or '-'.",
    {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"}
);
one_or_more!(
    Tags,
    "One tag or a list of tags.",
    Tag,
    {"minItems": 1, "maxItems": (limits::STAGE_TAGS), "uniqueItems": true}
);
one_or_more!(
    BuildTags,
    "One tag or a list of tags, with placeholders.",
    Text,
    {"minItems": 1, "maxItems": (limits::BUILD_TAGS)}
);
value!(
    Glob,
    "A pattern for paths or refs: '*' within one part, '**' across parts, '{a,b}', '[a-z]'.",
    {"type": "string", "minLength": 1, "maxLength": (limits::PATTERN_BYTES)}
);
one_or_more!(Globs, "One pattern or a list of patterns.", Glob, {});
value!(
    Path,
    "A path inside the repository: relative, without '..' or backslashes, and not starting with '-' or '~'.",
    {
        "type": "string",
        "minLength": 1,
        "maxLength": (limits::PATH_BYTES),
        "pattern": "^(?![/~-])(?!(.*/)?\\.\\.(/|$))[^\\\\\\x00-\\x1f]+$"
    }
);
one_or_more!(
    Outputs,
    "One path or a list of paths.",
    Path,
    {"maxItems": (limits::OUTPUTS)}
);
value!(
    PlainWord,
    "Letters, digits, '.', '_' and '-'.",
    {"type": "string", "pattern": (format!("^(?!-)[A-Za-z0-9._-]{}$", up_to(limits::WORD)))}
);
value!(
    Duration,
    "A number and a unit: 90s, 20m, 1h, 7d.",
    {"type": "string", "pattern": "^[0-9]{1,9}[smhd]$"}
);
value!(
    Scalar,
    "A text. Numbers, true and false are taken as written.",
    {"type": ["string", "number", "boolean"]}
);
value!(
    Value,
    "The value of an environment variable. Numbers, true and false are taken as written.",
    {
        "type": ["string", "number", "boolean"],
        "maxLength": (towline_buildspec::generate::LONGEST_VALUE)
    }
);
value!(
    VariableName,
    "Letters, digits and '_', not starting with a digit. Names that change how the build itself runs (PATH, LD_…, AWS_…, CODEBUILD_…, TOWLINE_…) and names that Towline sets (GIT_SHA, IMAGE_TAG, …) are refused.",
    {
        "type": "string",
        "pattern": "^(?!(AWS_|BASH_FUNC_|CODEBUILD_|LD_|TOWLINE_))[A-Za-z_][A-Za-z0-9_]*$"
    }
);
value!(
    ArgumentName,
    "Letters, digits and '_', not starting with a digit.",
    {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}
);
value!(
    ParameterName,
    "Letters, digits, '_' and '-'.",
    {"type": "string", "pattern": (format!("^[A-Za-z0-9_-]{}$", up_to(limits::PARAMETER_NAME)))}
);
value!(
    ReportName,
    "Letters, digits, '-' and '_'.",
    {"type": "string", "pattern": (format!("^[A-Za-z0-9_-]{}$", up_to(limits::WORD)))}
);
value!(
    SecretReference,
    "The name or ARN of a secret, optionally followed by ':' and a key of its JSON.",
    {
        "type": "string",
        "maxLength": (limits::SECRET_REFERENCE),
        "pattern": "^[A-Za-z0-9/_+=.@][A-Za-z0-9/_+=.@:-]*$"
    }
);
value!(Version, "A version, such as \"1.22\".", {"type": ["string", "number"]});
value!(
    CodeBuildImage,
    "The name of a CodeBuild image.",
    {
        "type": "string",
        "maxLength": (limits::IMAGE_NAME),
        "pattern": "^[A-Za-z0-9][A-Za-z0-9./:_@-]*$"
    }
);
value!(
    BaseImage,
    "An image with its digest, name@sha256:….",
    {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9./:_-]*@sha256:[0-9a-f]{64}$"}
);
value!(
    User,
    "A user, such as app or \"1000:1000\".",
    {
        "type": ["string", "integer"],
        "pattern": (format!("^(?![-:])[A-Za-z0-9._:-]{}$", up_to(limits::WORD)))
    }
);
value!(Workdir, "An absolute path in the image.", {"type": "string", "pattern": "^/"});
value!(
    Port,
    "A port, with /udp unless it is TCP.",
    {
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": 65535},
            {"type": "string", "pattern": "^[0-9]{1,5}(/(tcp|udp))?$"}
        ]
    }
);
one_or_more!(Ports, "One port or a list of ports.", Port, {});
value!(
    Target,
    "A Makefile target.",
    {"type": "string", "pattern": (format!("^(?![-.])[A-Za-z0-9_./-]{}$", up_to(limits::TARGET)))}
);
one_or_more!(Targets, "One target or a list of targets.", Target, {});
value!(
    Cause,
    "deploy, verify, or alarm: and the name of an alarm.",
    {"type": "string", "pattern": "^(deploy|verify|alarm:.+)$"}
);
one_or_more!(Causes, "One cause or a list of causes.", Cause, {});
value!(
    Inline,
    "The text of a buildspec.",
    {
        "type": "string",
        "minLength": 1,
        "maxLength": (towline_buildspec::generate::INLINE_LIMIT)
    }
);
value!(
    Findings,
    "A number of findings.",
    {"type": "integer", "minimum": 0, "maximum": (limits::FINDINGS)}
);
value!(
    Approvals,
    "A number of people.",
    {"type": "integer", "minimum": 1, "maximum": (limits::APPROVALS)}
);

word!(PresetWord, "A preset.", words(words::PRESETS));
word!(PlatformWord, "A platform.", words::PLATFORMS.to_vec());
word!(
    LayerCacheWord,
    "Where layers are kept.",
    words(words::LAYER_CACHE)
);
word!(LoginWord, "Who logs in.", words(words::LOGIN));
word!(
    FormatWord,
    "The format of a test report.",
    REPORT_FORMATS.to_vec()
);
word!(
    PromoteWord,
    "When images are promoted.",
    words(words::PROMOTE)
);
word!(
    ConcurrencyWord,
    "How promotions of a stage wait.",
    words(words::CONCURRENCY)
);
word!(
    DriftWord,
    "What happens when a tag is moved outside Towline.",
    words(words::DRIFT)
);
word!(SelfWord, "Whether authors approve.", words(words::SELF));
word!(UnitWord, "What moves together.", words(words::UNIT));
word!(
    ReportedWord,
    "What is reported on GitHub.",
    words(words::REPORTED)
);

/// A CodeBuild image, or one per platform.
pub enum BuildImage {}

impl JsonSchema for BuildImage {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "BuildImage".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<CodeBuildImage>();
        let mut each: Json = generator
            .subschema_for::<Named<PlatformWord, CodeBuildImage>>()
            .into();
        each["minProperties"] = json!(1);
        json_schema!({"anyOf": [one, each]})
    }
}
