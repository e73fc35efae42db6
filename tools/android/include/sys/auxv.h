#ifndef SYS_AUXV_H
#define SYS_AUXV_H
#define AT_HWCAP 16
unsigned long getauxval(unsigned long);
#endif
