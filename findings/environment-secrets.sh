#!/usr/bin/env bash
# Seven of eighteen libraries for settings make another text of a secret that comes in an environment variable, or refuse to start with it.
#
# dynaconf 3.3.5, confuse 2.3.0, environs 15.2.0, pydantic-settings 2.16.3, typed-settings 26.0.0 (Python 3.11); convict 6.2.5, nconf 0.13.0, env-var
# 7.5.0 (JavaScript); SmallRye Config 3.17.2, Spring Boot 4.0.7, Micronaut 4.10.15, Gestalt 0.36.0, Typesafe Config 1.4.5 (Java); viper 1.21.0,
# koanf 2.4.1, caarlos0/env 11.3.1 (Go); figment 0.10.19, config 0.15.27 (Rust). Each is asked for a text, with no setting.
#
# A variable that is filled from a Secret is a text, and a random one is a number, has quotes or a `$` sooner or later. dynaconf reads it as TOML, figment
# by a grammar of its own: the beginning of a hash, 12e4, becomes 120000.0, quotes and blanks around a text are gone, and what is a number or
# a list is refused where a text is asked for; so is 007 by confuse. SmallRye, Spring, Micronaut and Gestalt look for ${name} in it, and
# SmallRye halves `$$` without a word. Spring has two answers: getProperty refuses an unknown name, Binder (@ConfigurationProperties) takes the
# text as it is; where a default follows the name, both put that in. Most secrets pass, so it is a rotation that brings the one that does not.
#
# Guess before: dynaconf and figment make numbers of digits, the frameworks for Java look for ${name}, and all else stays as it is.
# What follows: random keys of letters and digits that begin with two letters, or keys in files, which none of these touches.
#
# Output seen: the table at the end of this file (- where the text comes back as it was).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check dynaconf==3.3.5 confuse==2.3.0 environs==15.2.0 pydantic-settings==2.16.3 \
  'typed-settings[attrs]==26.0.0'
npm install --silent --force --prefix . convict@6.2.5 nconf@0.13.0 env-var@7.5.0 >/dev/null
cat >pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId>
  <artifactId>finding</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>io.smallrye.config</groupId><artifactId>smallrye-config</artifactId><version>3.17.2</version></dependency>
    <dependency><groupId>org.springframework.boot</groupId><artifactId>spring-boot</artifactId><version>4.0.7</version></dependency>
    <dependency><groupId>io.micronaut</groupId><artifactId>micronaut-inject</artifactId><version>4.10.15</version></dependency>
    <dependency><groupId>com.github.gestalt-config</groupId><artifactId>gestalt-core</artifactId><version>0.36.0</version></dependency>
    <dependency><groupId>com.typesafe</groupId><artifactId>config</artifactId><version>1.4.5</version></dependency>
  </dependencies>
</project>
XML
mvn --quiet --batch-mode -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies -DoutputDirectory=jars >/dev/null
mkdir -p go rust/src

# Each reader prints a line of JSON for each library: its name, and what it has for APP_SECRET (null where it refuses).
cat >read.py <<'PY'
import json
import confuse, dynaconf, environs, pydantic_settings, typed_settings

def with_confuse():
    configuration = confuse.Configuration('app', read=False)
    configuration.set_env()
    return configuration['secret'].get(str)

class Pydantic(pydantic_settings.BaseSettings, env_prefix='APP_'):
    secret: str

@typed_settings.settings
class Typed:
    secret: str = ''

libraries = {
    'dynaconf': lambda: str(dynaconf.Dynaconf(envvar_prefix='APP').SECRET),
    'confuse': with_confuse,
    'environs': lambda: environs.Env().str('APP_SECRET'),
    'pydantic-settings': lambda: Pydantic().secret,
    'typed-settings': lambda: typed_settings.load(Typed, 'app').secret,
}
for name, read in libraries.items():
    try:
        print(json.dumps([name, read()]))
    except Exception:
        print(json.dumps([name, None]))
PY
cat >read.cjs <<'JS'
const libraries = {
  convict: () => require('convict')({ secret: { format: String, default: '', env: 'APP_SECRET' } }).get('secret'),
  nconf: () => require('nconf').env().get('APP_SECRET'),
  'env-var': () => require('env-var').get('APP_SECRET').asString(),
}
for (const [name, read] of Object.entries(libraries)) {
  try { console.log(JSON.stringify([name, read()])) } catch { console.log(JSON.stringify([name, null])) }
}
JS
cat >Read.java <<'JAVA'
import com.typesafe.config.ConfigFactory;
import io.smallrye.config.SmallRyeConfigBuilder;
import java.util.*;
import org.github.gestalt.config.builder.GestaltBuilder;
import org.github.gestalt.config.source.EnvironmentConfigSourceBuilder;
import org.springframework.boot.context.properties.bind.Binder;
import org.springframework.boot.context.properties.source.ConfigurationPropertySources;
import org.springframework.core.env.StandardEnvironment;

public class Read {
    interface Library { String read() throws Exception; }

    static void show(String name, Library library) {
        String seen;
        try {
            seen = '"' + library.read().replace("\\", "\\\\").replace("\"", "\\\"") + '"';
        } catch (Exception refused) {
            seen = "null";
        }
        System.out.println("[\"" + name + "\", " + seen + "]");
    }

    public static void main(String[] arguments) {
        var spring = new StandardEnvironment();
        ConfigurationPropertySources.attach(spring);
        show("SmallRye", () -> new SmallRyeConfigBuilder().addDefaultSources().addDefaultInterceptors().build().getValue("app.secret", String.class));
        show("Spring getProperty", () -> spring.getProperty("app.secret"));
        show("Spring Binder", () -> Binder.get(spring).bind("app.secret", String.class).get());
        show("Micronaut", () -> io.micronaut.context.ApplicationContext.run().getProperty("app.secret", String.class).get());
        show("Gestalt", () -> {
            var gestalt = new GestaltBuilder().addSource(EnvironmentConfigSourceBuilder.builder().build()).build();
            gestalt.loadConfigs();
            return gestalt.getConfig("app.secret", String.class);
        });
        show("Typesafe", () -> ConfigFactory.parseString("secret = ${APP_SECRET}").resolveWith(ConfigFactory.systemEnvironment()).getString("secret"));
    }
}
JAVA
mkdir classes
javac -cp 'jars/*' -d classes Read.java
cat >go/go.mod <<'GO'
module finding
go 1.25
require (
	github.com/caarlos0/env/v11 v11.3.1
	github.com/knadh/koanf/providers/env/v2 v2.0.0
	github.com/knadh/koanf/v2 v2.4.1
	github.com/spf13/viper v1.21.0
)
GO
cat >go/main.go <<'GO'
package main

import (
	"encoding/json"
	"os"
	"strings"

	"github.com/caarlos0/env/v11"
	source "github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/viper"
)

func main() {
	show := func(name, value string) { json.NewEncoder(os.Stdout).Encode([]string{name, value}) }
	settings := viper.New()
	settings.SetEnvPrefix("APP")
	settings.AutomaticEnv()
	show("viper", settings.GetString("secret"))
	tree := koanf.New(".")
	lower := func(name, value string) (string, any) { return strings.ToLower(strings.TrimPrefix(name, "APP_")), value }
	if err := tree.Load(source.Provider(".", source.Opt{Prefix: "APP_", TransformFunc: lower}), nil); err != nil {
		panic(err)
	}
	show("koanf", tree.String("secret"))
	var fields struct {
		Secret string `env:"APP_SECRET"`
	}
	if err := env.Parse(&fields); err != nil {
		panic(err)
	}
	show("caarlos0/env", fields.Secret)
}
GO
(cd go && go mod tidy 2>/dev/null && go build -o ../read-go .)
cat >rust/Cargo.toml <<'RUST'
[package]
name = "finding"
version = "0.1.0"
edition = "2021"
[dependencies]
config = { version = "=0.15.27", default-features = false }
figment = { version = "=0.10.19", features = ["env"] }
serde = { version = "1", features = ["derive"] }
serde_json = "1"
RUST
cat >rust/src/main.rs <<'RUST'
#[derive(serde::Deserialize)]
struct Settings {
    secret: String,
}

fn show(name: &str, settings: Option<Settings>) {
    println!("{}", serde_json::json!([name, settings.map(|settings| settings.secret)]));
}

fn main() {
    show("figment", figment::Figment::new().merge(figment::providers::Env::prefixed("APP_")).extract().ok());
    let source = config::Environment::with_prefix("APP");
    let built = config::Config::builder().add_source(source).build();
    show("config", built.and_then(|config| config.try_deserialize()).ok());
}
RUST
cargo build --quiet --manifest-path rust/Cargo.toml --target-dir rust/target
cat >show.py <<'PY'
import json, os, subprocess
secrets = ['12e4', '007', '[ab]', '"ab"', ' ab', 'a$$b', 'a${x}b', 'a${x:1}b']
commands = [['python/bin/python', 'read.py'], ['node', 'read.cjs'], ['java', '-cp', 'jars/*:classes', 'Read'], ['./read-go'], ['rust/target/debug/finding']]
seen = {}
for secret in secrets:
    for command in commands:
        lines = subprocess.run(command, env=os.environ | {'APP_SECRET': secret}, capture_output=True, text=True, check=True).stdout
        for name, value in map(json.loads, lines.splitlines()):
            seen.setdefault(name, []).append('refused' if value is None else '-' if value == secret else value)
print(f"{'':19}", *(f'{secret:9}' for secret in secrets))
for name, row in seen.items():
    print(f'{name:19}', *(f'{value:9}' for value in row))
PY
python3 show.py | sed 's/ *$//' | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
                    12e4      007       [ab]      "ab"       ab       a$$b      a${x}b    a${x:1}b
dynaconf            120000.0  -         -         ab        -         -         -         -
confuse             -         refused   -         -         -         -         -         -
environs            -         -         -         -         -         -         -         -
pydantic-settings   -         -         -         -         -         -         -         -
typed-settings      -         -         -         -         -         -         -         -
convict             -         -         -         -         -         -         -         -
nconf               -         -         -         -         -         -         -         -
env-var             -         -         -         -         -         -         -         -
SmallRye            -         -         -         -         -         a$b       refused   a1b
Spring getProperty  -         -         -         -         -         -         refused   a1b
Spring Binder       -         -         -         -         -         -         -         a1b
Micronaut           -         -         -         -         -         -         refused   a1b
Gestalt             -         -         -         -         -         -         refused   refused
Typesafe            -         -         -         -         -         -         -         -
viper               -         -         -         -         -         -         -         -
koanf               -         -         -         -         -         -         -         -
caarlos0/env        -         -         -         -         -         -         -         -
figment             -         refused   refused   ab        ab        -         -         -
config              -         -         -         -         -         -         -         -
SEEN
