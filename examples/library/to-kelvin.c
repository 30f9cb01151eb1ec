#include <stdio.h>
#include <stdlib.h>

#include "temperature.h"

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s DEGREES-CELSIUS\n", argv[0]);
        return 2;
    }
    printf("%.2f\n", celsius_to_kelvin(atof(argv[1])));
    return 0;
}
