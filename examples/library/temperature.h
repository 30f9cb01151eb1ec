double celsius_to_fahrenheit(double celsius);
double celsius_to_kelvin(double celsius);
