"""Builds the AAR without an NDK, into a Maven layout in build/android/maven.

    tools/android/install.sh
    python tools/android

Clang and lld make the libraries, javac and the Kotlin compiler the classes, against stand-ins for the classes
of Android and of TensorFlow Lite in tools/android/stubs. The sample app is compiled, too.
"""

import re
import shutil
import sys
import zipfile
from pathlib import Path

import native
from jvm import BUILD, JSON, java, kotlin
from native import ROOT, Unfit

MODULES = ROOT / "tflite" / "android"
MAIN = MODULES / "beex" / "src" / "main"

MOST_BYTES = 400_000
"""Of the AAR, for three processors."""


def setting(pattern: str, file: str = "beex/build.gradle.kts") -> str:
    """What the pattern's group finds in a file of the Gradle project, which has the settings."""
    (found,) = re.findall(pattern, (MODULES / file).read_text("utf-8"))
    return found


def version() -> str:
    return setting('#define BEEX_VERSION "(.+)"', "../engine/beex.h")


def archive(path: Path, files: dict[str, bytes]) -> None:
    """A zip file whose bytes depend on its content alone."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for name in sorted(files):
            target.writestr(zipfile.ZipInfo(name), files[name], zipfile.ZIP_DEFLATED)


def classes(folder: Path) -> dict[str, bytes]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def aar() -> dict[str, bytes]:
    """The files of the AAR by their names in it."""
    for name in ("stubs", "classes", "sample"):
        shutil.rmtree(BUILD / name, ignore_errors=True)
    stubs = java(BUILD / "stubs", [], ROOT / "tools" / "android" / "stubs")
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
    text = (MAIN / "AndroidManifest.xml").read_text("utf-8")
    own = f' package="{setting("namespace = .(.+).")}">\n'
    least = f'    <uses-sdk android:minSdkVersion="{setting("minSdk = (.+)")}" />\n'
    return text.replace(" />", own + least + "</manifest>", 1)


def pom() -> str:
    kotlin = setting('kotlin.android"\\) version "(.+?)"', "build.gradle.kts")
    needed = [setting('api\\("(.+)"\\)'), f"org.jetbrains.kotlin:kotlin-stdlib:{kotlin}"]
    dependencies = "".join(
        f"    <dependency>{coordinates(name)}<scope>compile</scope></dependency>\n"
        for name in needed
    )
    own = f"{setting('group = .(.+).')}:{setting('artifactId = .(.+).')}:{version()}"
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  {coordinates(own)}
  <packaging>aar</packaging>
  <licenses>
    <license><name>Apache-2.0</name><url>https://www.apache.org/licenses/LICENSE-2.0.txt</url></license>
  </licenses>
  <dependencies>
{dependencies}  </dependencies>
</project>
"""


def coordinates(name: str) -> str:
    group, artifact, number = name.split(":")
    return (
        f"<groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{number}</version>"
    )


def main() -> int:
    group, artifact = setting("group = .(.+)."), setting("artifactId = .(.+).")
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
