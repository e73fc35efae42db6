"""Builds the AAR without an NDK, into a Maven layout in build/android/maven.

    tools/android/install.sh
    python tools/android

Clang and lld make the libraries, javac and kotlinc the classes, against stand-ins for the classes of Android
and of TensorFlow Lite in tools/android/stubs; of the sample app, too, which is only compiled.
"""

import re
import shutil
import sys
import zipfile
from pathlib import Path

import native
from native import ROOT, Unfit, java_home, run

BUILD = ROOT / "build" / "android"
MODULES = ROOT / "tflite" / "android"
MAIN = MODULES / "beex" / "src" / "main"
KOTLIN = BUILD / "node_modules" / "kotlin-compiler" / "lib"
JSON = Path("/usr/share/java/com.android.json.jar")

COORDINATES = "org.beexkeras:beex-android"
DEPENDENCIES = {
    "org.jetbrains.kotlin:kotlin-stdlib": "2.1.0",
    "org.jetbrains.kotlinx:kotlinx-coroutines-core": "1.8.1",
}
LANGUAGE = "2.1"
"""The oldest Kotlin that the compiler still writes: that of the build files."""

MOST_BYTES = 400_000
"""Of the AAR, for three processors."""


def version() -> str:
    text = (ROOT / "tflite" / "engine" / "beex.h").read_text("utf-8")
    return re.findall(r'#define BEEX_VERSION "(.+)"', text)[0]


def java(output: Path, classpath: list[Path], *folders: Path) -> Path:
    """Java 8 classes of all sources in the folders."""
    output.mkdir(parents=True, exist_ok=True)
    files = sorted(file for folder in folders for file in folder.rglob("*.java"))
    paths = ":".join(map(str, classpath))
    warnings = ["-Xlint:all,-options,-serial", "-Werror"]
    compiler = java_home() / "bin" / "javac"
    run(compiler, "--release", "8", *warnings, "-cp", paths, "-d", output, *files)
    return output


def kotlin(output: Path, classpath: list[Path], *folders: Path) -> Path:
    """Classes of the Kotlin sources in the folders."""
    compiler = KOTLIN / "kotlin-compiler.jar"
    if not compiler.is_file():
        raise Unfit("there is no Kotlin compiler; tools/android/install.sh installs it")
    libraries = [KOTLIN / "kotlin-stdlib.jar", KOTLIN / "kotlinx-coroutines-core-jvm.jar"]
    paths = ":".join(map(str, [*classpath, *libraries]))
    files = sorted(file for folder in folders for file in folder.rglob("*.kt"))
    run(
        *[java_home() / "bin" / "java", "-Xmx1g", "-XX:TieredStopAtLevel=1", "-cp", compiler],
        *["org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-Werror", "-no-stdlib", "-no-reflect"],
        "-Xsuppress-version-warnings",
        *["-jvm-target", "1.8", "-language-version", LANGUAGE, "-api-version", LANGUAGE],
        *["-cp", paths, "-d", output, *files],
    )
    return output


def archive(path: Path, files: dict[str, bytes]) -> None:
    """A zip file whose bytes depend on its content alone."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for name in sorted(files):
            target.writestr(zipfile.ZipInfo(name), files[name], zipfile.ZIP_DEFLATED)


def classes(folder: Path) -> dict[str, bytes]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def aar() -> dict[str, bytes]:
    """The files of the AAR: docs/android.md says what they are."""
    stubs = java(BUILD / "stubs", [], ROOT / "tools" / "android" / "stubs")
    shutil.rmtree(BUILD / "classes", ignore_errors=True)
    own = java(BUILD / "classes", [stubs, JSON], MAIN / "java")
    kotlin(own, [own, stubs], MAIN / "kotlin")
    sample = MODULES / "sample" / "src" / "main" / "kotlin"
    kotlin(BUILD / "sample", [own, stubs], sample)
    archive(BUILD / "classes.jar", classes(own))
    files = {
        "AndroidManifest.xml": manifest().encode("utf-8"),
        "classes.jar": (BUILD / "classes.jar").read_bytes(),
        "proguard.txt": (MODULES / "beex" / "consumer-rules.pro").read_bytes(),
        "R.txt": b"",
        "LICENSE": (ROOT / "LICENSE").read_bytes(),
        "NOTICE": (ROOT / "NOTICE").read_bytes(),
    }
    for abi in native.TARGETS:
        files[f"jni/{abi}/libbeex_jni.so"] = native.build(abi, BUILD / abi).read_bytes()
    return files


def manifest() -> str:
    """The source's, with what Gradle would add of its settings."""
    settings = (MODULES / "beex" / "build.gradle.kts").read_text("utf-8")
    least = re.findall(r"minSdk = (\d+)", settings)[0]
    package = re.findall(r'namespace = "(.+)"', settings)[0]
    text = (MAIN / "AndroidManifest.xml").read_text("utf-8")
    inside = (
        f'\n    package="{package}">\n    <uses-sdk android:minSdkVersion="{least}" />\n</manifest>'
    )
    return text.replace(" />", inside, 1)


def pom() -> str:
    group, artifact = COORDINATES.split(":")
    dependencies = "".join(
        f"""
    <dependency>
      <groupId>{name.split(":")[0]}</groupId>
      <artifactId>{name.split(":")[1]}</artifactId>
      <version>{number}</version>
    </dependency>"""
        for name, number in DEPENDENCIES.items()
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>{group}</groupId>
  <artifactId>{artifact}</artifactId>
  <version>{version()}</version>
  <packaging>aar</packaging>
  <licenses>
    <license>
      <name>Apache-2.0</name>
      <url>https://www.apache.org/licenses/LICENSE-2.0.txt</url>
    </license>
  </licenses>
  <dependencies>{dependencies}
  </dependencies>
</project>
"""


def main() -> int:
    group, artifact = COORDINATES.split(":")
    folder = BUILD / "maven" / group.replace(".", "/") / artifact / version()
    path = folder / f"{artifact}-{version()}.aar"
    try:
        files = aar()
        folder.mkdir(parents=True, exist_ok=True)
        archive(path, files)
        size = path.stat().st_size
        if size > MOST_BYTES:
            path.unlink()
            raise Unfit(f"the AAR has {size:,} bytes, more than {MOST_BYTES:,}")
        path.with_suffix(".pom").write_text(pom(), "utf-8")
    except Unfit as error:
        print(f"error: {error}.", file=sys.stderr)
        return 1
    for name, data in files.items():
        if name.endswith((".so", ".jar")):
            print(f"{name:32} {len(data):>9,} bytes")
    print(f"{path.relative_to(ROOT)}  {size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
