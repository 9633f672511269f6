# SPDX-License-Identifier: MIT
"""The nlohmann/json that is installed here, as the Conan package that stet requires, so that no server has to be asked.

JSON_INCLUDE is the folder that holds nlohmann/json.hpp.
"""

import os
import pathlib

from conan import ConanFile
from conan.tools.files import copy


class InstalledJson(ConanFile):
    name = "nlohmann_json"
    package_type = "header-library"

    def package(self):
        copy(self, "nlohmann/*", os.environ["JSON_INCLUDE"], pathlib.Path(self.package_folder, "include"))

    def package_info(self):
        self.cpp_info.bindirs = self.cpp_info.libdirs = []
