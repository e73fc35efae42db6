/* CRC-32 of polynomial 0xedb88320, four bytes at a time.
 *
 * Table k has the remainder of each byte that is followed by k zero bytes. A remainder is linear: that
 * of a byte is the exclusive or of those of its bits, which are all that is written down here.
 *
 * Each step waits for the one before, so four parts of the data go side by side. A part that others
 * follow has its remainder multiplied by x^8 for every byte of theirs.
 */
#include "internal.h"

#define BITS(i, a, b, c, d, e, f, g, h)                                               \
  (((i) & 1 ? a : 0) ^ ((i) & 2 ? b : 0) ^ ((i) & 4 ? c : 0) ^ ((i) & 8 ? d : 0) ^    \
   ((i) & 16 ? e : 0) ^ ((i) & 32 ? f : 0) ^ ((i) & 64 ? g : 0) ^ ((i) & 128 ? h : 0))
#define TABLE_0(i)                                                                  \
  BITS(i, 0x77073096u, 0xee0e612cu, 0x076dc419u, 0x0edb8832u, \
       0x1db71064u, 0x3b6e20c8u, 0x76dc4190u, 0xedb88320u)
#define TABLE_1(i)                                                                  \
  BITS(i, 0x191b3141u, 0x32366282u, 0x646cc504u, 0xc8d98a08u, \
       0x4ac21251u, 0x958424a2u, 0xf0794f05u, 0x3b83984bu)
#define TABLE_2(i)                                                                  \
  BITS(i, 0x01c26a37u, 0x0384d46eu, 0x0709a8dcu, 0x0e1351b8u, \
       0x1c26a370u, 0x384d46e0u, 0x709a8dc0u, 0xe1351b80u)
#define TABLE_3(i)                                                                  \
  BITS(i, 0xb8bc6765u, 0xaa09c88bu, 0x8f629757u, 0xc5b428efu, \
       0x5019579fu, 0xa032af3eu, 0x9b14583du, 0xed59b63bu)
#define FOUR(t, i) t(i), t((i) + 1), t((i) + 2), t((i) + 3)
#define SIXTEEN(t, i) FOUR(t, i), FOUR(t, (i) + 4), FOUR(t, (i) + 8), FOUR(t, (i) + 12)
#define SIXTY_FOUR(t, i) \
  SIXTEEN(t, i), SIXTEEN(t, (i) + 16), SIXTEEN(t, (i) + 32), SIXTEEN(t, (i) + 48)
#define ALL(t) \
  { SIXTY_FOUR(t, 0), SIXTY_FOUR(t, 64), SIXTY_FOUR(t, 128), SIXTY_FOUR(t, 192) }

static const uint32_t table[4][256] = {ALL(TABLE_0), ALL(TABLE_1), ALL(TABLE_2), ALL(TABLE_3)};

#define POLYNOMIAL 0xedb88320u
#define ONE 0x80000000u /* the highest bit is x^0 */
#define PARTS 4

/* The remainder after four bytes more. */
static inline uint32_t add_four(uint32_t crc, const unsigned char *byte) {
  crc ^= (uint32_t)byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 |
         (uint32_t)byte[3] << 24;
  return table[3][crc & 255] ^ table[2][crc >> 8 & 255] ^ table[1][crc >> 16 & 255] ^
         table[0][crc >> 24];
}

/* a b modulo the polynomial. */
static uint32_t multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (; a; a <<= 1) {
    if (a & ONE) product ^= b;
    b = b >> 1 ^ (b & 1 ? POLYNOMIAL : 0);
  }
  return product;
}

/* x^(8 n) modulo the polynomial. */
static uint32_t power_of_bytes(size_t n) {
  uint32_t power = ONE, square = ONE >> 8;
  for (; n; n >>= 1, square = multiply(square, square)) {
    if (n & 1) power = multiply(power, square);
  }
  return power;
}

uint32_t beex_crc32(const void *data, size_t size) {
  const unsigned char *byte = (const unsigned char *)data;
  const size_t part = size / (4 * PARTS) * 4;
  uint32_t crcs[PARTS] = {0xffffffffu};
  for (const unsigned char *end = byte + part; byte < end; byte += 4) {
    for (int i = 0; i < PARTS; i++) crcs[i] = add_four(crcs[i], byte + (size_t)i * part);
  }
  const uint32_t power = power_of_bytes(part);
  uint32_t crc = crcs[0];
  for (int i = 1; i < PARTS; i++) crc = multiply(crc, power) ^ crcs[i];
  byte += (PARTS - 1) * part;
  for (size -= PARTS * part; size; size--) crc = table[0][(crc ^ *byte++) & 255] ^ crc >> 8;
  return ~crc;
}
