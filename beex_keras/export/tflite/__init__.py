"""The ``.tflite`` files of Larq Compute Engine: conversion, and passes over what it gives."""
