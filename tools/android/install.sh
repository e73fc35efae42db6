#!/bin/sh
# Installs what tests/test_android.py needs, where it may: compilers and an emulator by apt-get, as root; the
# Kotlin compiler by npm, and Java for 64-bit and 32-bit Arm, which needs no installing, into build/android. It does
# nothing where all is there. It never fails: tests that lack a tool are left out, and one line says which.
cd "$(dirname "$0")/../.." || exit 1
folder=$PWD/build/android
mkdir -p "$folder"

has_all() {
    for tool in $1; do [ -e "$tool" ] || command -v "$tool" >/dev/null || return 1; done
}

left_out() {
    echo "left out: tests/test_android.py$1; to run it: $2" >&2
}

tools="javac clang ld.lld qemu-aarch64 npm /usr/share/java/com.android.json.jar"
packages="default-jdk-headless clang lld qemu-user npm libandroid-json-java"
if ! has_all "$tools"; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing $packages" >&2
        export DEBIAN_FRONTEND=noninteractive
        options="-y -qq --no-install-recommends -o Acquire::Retries=1 -o Acquire::http::Timeout=20"
        # shellcheck disable=SC2086 # words
        timeout 900 apt-get install $options $packages >/dev/null 2>&1 || {
            timeout 300 apt-get update -qq >/dev/null 2>&1
            timeout 900 apt-get install $options $packages >/dev/null 2>&1
        }
    fi
    has_all "$tools" ||
        left_out "" "apt-get install --no-install-recommends $packages"
fi

# The Kotlin compiler, with the coroutines.
if [ ! -f "$folder/node_modules/kotlin-compiler/lib/kotlin-compiler.jar" ]; then
    timeout 600 npm install --silent --no-audit --no-fund --prefix "$folder" kotlin-compiler@2.4.20 >/dev/null 2>&1 ||
        left_out "" "npm install --prefix build/android kotlin-compiler@2.4.20"
fi

# Java of another processor, unpacked beside the system's own packages, by an apt that knows of nothing else.
java_of() { # ARCHITECTURE
    root=$folder/$1 apt=$folder/apt-$1
    [ -f "$root/complete" ] && return
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || return 1
    rm -rf "$root" "$apt"
    mkdir -p "$root" "$apt/state/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/status"
    cat >"$apt/conf" <<END
APT::Architecture "$1";
APT::Architectures { "$1"; };
APT::Sandbox::User "root";
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Acquire::Retries "1";
Acquire::http::Timeout "20";
END
    (
        export APT_CONFIG="$apt/conf"
        cd "$apt/cache" || exit 1
        timeout 300 apt-get update -qq # one of several lists may be missing, and the packages in another
        timeout 900 apt-get download -qq openjdk-21-jre-headless libc6 libgcc-s1 libstdc++6 zlib1g &&
            for package in *.deb; do dpkg -x "$package" "$root" || exit 1; done
    ) >/dev/null 2>&1 || return 1
    [ -e "$root/lib" ] || ln -s usr/lib "$root/lib"
    # Its settings are links to /etc, which is not that of the emulated system.
    find "$root/usr/lib/jvm" -type l -lname '/etc/*' | while read -r link; do
        ln -sfnr "$root$(readlink "$link")" "$link"
    done
    rm -rf "$apt"
    touch "$root/complete"
}
for architecture in arm64 armhf; do
    java_of $architecture || left_out " of $architecture" "tools/android/install.sh on Debian"
done
exit 0
