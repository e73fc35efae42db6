/* jni.h includes it, for nothing. */
