#include "broker/options.h"

#include <iostream>

#include <CLI/CLI.hpp>

#include "broker/version.h"

namespace trunkline::broker {

Options read_options(int argc, char** argv, std::optional<int>& exit_code) {
    Options options;
    CLI::App app{"trunkline, a Unified Namespace MQTT broker. With no flag: MQTT on 127.0.0.1:1883, administration on\n"
                 "127.0.0.1:9883, data in ./trunkline-data, anonymous clients from this machine alone.",
                 "trunkline"};
    app.add_option("--config", options.config_file, "configuration file (YAML)")->type_name("FILE");
    app.add_option("--data", options.data_dir, "folder of the store")->type_name("DIR");
    app.add_option("--listen", options.listen,
                   "repeatable: mqtt://ADDR:PORT, mqtts://, ws://, wss://, unix:/PATH; replaces the file's listeners")
        ->type_name("URL")->expected(1)->take_all();
    app.add_option("--admin", options.admin, "administration: ADDR:PORT or unix:PATH")->type_name("WHERE");
    app.add_option("--model", options.model_file, "namespace model")->type_name("FILE");
    app.add_option("--workers", options.workers, "threads that serve clients; 0: one less than the cores")
        ->type_name("N")->check(CLI::Range(0U, 256U));
    app.add_option("--log-level", options.log_level, "error, warn, info or debug")->type_name("LEVEL");
    app.add_option("--log-format", options.log_format, "json or text")->type_name("FORMAT");
    app.add_flag("--allow-anonymous", options.allow_anonymous, "let in clients without authentication, off loopback too");
    app.add_flag("--check-config", options.check_config, "print every error of the configuration, exit 0 or 1");
    bool show_version = false;
    app.add_flag("--version", show_version, "print the version");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        exit_code = app.exit(error) == 0 ? 0 : 2;
        return options;
    }
    if (show_version) {
        std::cout << "trunkline " << version << '\n';
        exit_code = 0;
    }
    return options;
}

}  // namespace trunkline::broker
