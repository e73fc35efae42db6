plugins {
    id("com.android.library")
    id("org.jetbrains.kotlin.android")
    `maven-publish`
}

group = "org.beexkeras"
version = Regex("""BEEX_VERSION "(.+)"""")
    .find(file("../../engine/beex.h").readText())!!.groupValues[1]

android {
    namespace = "org.beexkeras"
    compileSdk = 35
    ndkVersion = "28.0.13004108"

    defaultConfig {
        minSdk = 24
        consumerProguardFiles("consumer-rules.pro")
        ndk { abiFilters += listOf("arm64-v8a", "armeabi-v7a", "x86_64") }
    }
    externalNativeBuild {
        cmake { path = file("src/main/cpp/CMakeLists.txt") }
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    kotlinOptions { jvmTarget = "1.8" }
    publishing { singleVariant("release") }
}

// Notices of what the library has of others.
tasks.withType<com.android.build.gradle.tasks.BundleAar>().configureEach {
    from("../../../LICENSE", "../../../NOTICE")
}

dependencies {
    api("org.jetbrains.kotlinx:kotlinx-coroutines-core:1.8.1")
    // LceClassifier alone needs it, of an app that brings it.
    compileOnly(":lce-lite@aar")
}

publishing {
    publications {
        register<MavenPublication>("release") {
            artifactId = "beex-android"
            afterEvaluate { from(components["release"]) }
        }
    }
}
