#include "app/cli/cli.h"

int main(int argc, char** argv) { return moecap::app::Main(argc, argv); }
