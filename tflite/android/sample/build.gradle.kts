plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

android {
    namespace = "org.beexkeras.sample"
    compileSdk = 35

    defaultConfig {
        applicationId = "org.beexkeras.sample"
        minSdk = 24
        targetSdk = 35
        versionCode = 1
        versionName = "1.0"
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    kotlinOptions { jvmTarget = "1.8" }
    // Files that are not compressed are mapped.
    androidResources { noCompress += listOf("beex", "tflite") }
}

dependencies {
    implementation(project(":beex"))
    implementation(":lce-lite@aar")
    implementation("org.jetbrains.kotlinx:kotlinx-coroutines-android:1.8.1")
}
