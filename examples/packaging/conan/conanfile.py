# SPDX-License-Identifier: MIT
"""The Conan 2 recipe of stet, which packages the sources that it lies among:

    conan create examples/packaging/conan

With `-o "stet/*:json=False"` only the reading core is offered, which requires nothing.
"""

import pathlib
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy

required_conan_version = ">=2.0"


class Stet(ConanFile):
    name = "stet"
    description = "Saves, maps and restores model weights in place; header-only C++20"
    license = "MIT"
    topics = ("machine-learning", "weights", "checkpoint", "serialization", "mmap", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"json": [True, False]}
    default_options = {"json": True}
    no_copy_source = True

    @property
    def _root(self):
        return pathlib.Path(self.recipe_folder).parents[2]

    def set_version(self):
        header = self._root / "include/stet/vocabulary/version.hpp"
        self.version = re.search(r'STET_VERSION_STRING "(.+)"', header.read_text())[1]

    def export_sources(self):
        copy(self, "LICENSE", self._root, self.export_sources_folder)
        copy(self, "*", self._root / "include/stet", pathlib.Path(self.export_sources_folder, "include/stet"),
             excludes="*.md")

    def requirements(self):
        if self.options.json:
            self.requires("nlohmann_json/[>=3.11.2 <4]", transitive_headers=True)

    def validate(self):
        check_min_cppstd(self, 20)

    def package(self):
        copy(self, "LICENSE", self.source_folder, pathlib.Path(self.package_folder, "licenses"))
        copy(self, "*", pathlib.Path(self.source_folder, "include"), pathlib.Path(self.package_folder, "include"))

    def package_id(self):
        self.info.clear()  # the headers are the same for every setting and option

    def package_info(self):
        # The package's own target, stet::stet, is the sum of these.
        core = self.cpp_info.components["core"]
        core.set_property("pkg_config_name", "stet-core")
        core.bindirs = core.libdirs = []
        if self.options.json:
            json = self.cpp_info.components["json"]
            json.requires = ["core", "nlohmann_json::nlohmann_json"]
            json.bindirs = json.libdirs = []
            if self.settings.os in ("Linux", "FreeBSD"):
                json.system_libs = ["pthread"]
