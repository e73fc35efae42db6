pluginManagement {
    repositories {
        google()
        mavenCentral()
    }
}

dependencyResolutionManagement {
    repositoriesMode = RepositoriesMode.FAIL_ON_PROJECT_REPOS
    repositories {
        google()
        mavenCentral()
        // lce-lite.aar of Larq Compute Engine's releases lies here.
        flatDir { dirs("$rootDir/libs") }
    }
}

rootProject.name = "beex"
include(":beex", ":sample")
