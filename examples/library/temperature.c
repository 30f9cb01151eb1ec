/* @comment@ */
#include "temperature.h"

double celsius_to_fahrenheit(double celsius) { return celsius * 9.0 / 5.0 + 32.0; }

double celsius_to_kelvin(double celsius) { return celsius + 273.15; }
