"""Classes for Android's Java, by javac and by the Kotlin compiler that tools/android/install.sh brings."""

from pathlib import Path

from native import ROOT, Unfit, java_home, run

BUILD = ROOT / "build" / "android"
KOTLIN = BUILD / "node_modules" / "kotlin-compiler" / "lib"
JSON = Path("/usr/share/java/com.android.json.jar")
"""Android's own classes for JSON, in a package of Debian's."""

LANGUAGE = "2.1"
"""The oldest Kotlin that the compiler still writes: that of the build files."""


def java(output: Path, classpath: list[Path], *folders: Path) -> Path:
    """Java 8 classes of all sources in the folders."""
    output.mkdir(parents=True, exist_ok=True)
    files = sorted(file for folder in folders for file in folder.rglob("*.java"))
    paths = ":".join(map(str, classpath))
    warnings = ["-Xlint:all,-options,-serial,-try", "-Werror"]
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
