// Classifies each line that comes by the serial port. Put the model beside this sketch:
//
//     beex convert MODEL -o model.c
#include <beex.h>
extern "C" {
#include "model.h"
}

static beex_model model;
static beex_engine engine;
static uint64_t arena[(MODEL_ARENA + 7) / 8];
static char line[256];
static size_t size;

void setup() {
  Serial.begin(115200);
  beex_status status = beex_open(&model, model_data, sizeof model_data);
  if (status == BEEX_OK) status = beex_start(&engine, &model, arena, sizeof arena, NULL);
  Serial.println(beex_status_message(status));
}

static void classify() {
  beex_result result;
  if (size > sizeof line) {
    Serial.println("The line is too long.");
    return;
  }
  const beex_status status = beex_classify(&engine, line, size, NULL, 0, &result);
  if (status != BEEX_OK) {
    Serial.println(beex_status_message(status));
  } else if (model.header->task == BEEX_NUMBER) {
    Serial.println(result.value);
  } else {
    Serial.println(beex_label(&model, result.label));
  }
}

void loop() {
  if (!Serial.available()) return;
  const int byte = Serial.read();
  if (byte != '\n') {
    if (size < sizeof line) line[size] = (char)byte;
    if (size <= sizeof line) size++;
    return;
  }
  classify();
  size = 0;
}
