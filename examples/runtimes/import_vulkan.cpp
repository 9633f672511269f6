// SPDX-License-Identifier: MIT
// A device reads a tensor where it lies in the mapped file: import_vulkan
// Vulkan takes memory of the program by VK_EXT_external_memory_host: whole pages, address and size, which the layout `accelerator` has.
#include <vulkan/vulkan.h>

#include <stet/writer.hpp>

#include "fail.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace {

/// A device that imports memory, and how: what the rest of the program needs of Vulkan.
struct importer {
  VkPhysicalDevice physical = VK_NULL_HANDLE;
  VkPhysicalDeviceProperties properties{};
  std::size_t page_size_bytes = 0;
  std::uint32_t queue_family = 0;
  VkDevice device = VK_NULL_HANDLE;
};

constexpr std::string_view extension = VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME;

bool can_import(VkPhysicalDevice device) {
  std::uint32_t count = 0;
  (void)vkEnumerateDeviceExtensionProperties(device, nullptr, &count, nullptr);
  std::vector<VkExtensionProperties> all(count);
  (void)vkEnumerateDeviceExtensionProperties(device, nullptr, &count, all.data());
  for (const VkExtensionProperties& each : all) {
    if (each.extensionName == extension) return true;
  }
  return false;
}

/// The first device that imports memory.
std::optional<importer> find_importer(VkInstance instance) {
  std::uint32_t count = 0;
  (void)vkEnumeratePhysicalDevices(instance, &count, nullptr);
  std::vector<VkPhysicalDevice> devices(count);
  (void)vkEnumeratePhysicalDevices(instance, &count, devices.data());
  for (const VkPhysicalDevice each : devices) {
    if (!can_import(each)) continue;
    importer made;
    made.physical = each;
    VkPhysicalDeviceExternalMemoryHostPropertiesEXT host{};
    host.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT;
    VkPhysicalDeviceProperties2 properties{};
    properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
    properties.pNext = &host;
    vkGetPhysicalDeviceProperties2(each, &properties);
    made.properties = properties.properties;
    made.page_size_bytes = static_cast<std::size_t>(host.minImportedHostPointerAlignment);
    std::uint32_t family_count = 0;
    vkGetPhysicalDeviceQueueFamilyProperties(each, &family_count, nullptr);
    std::vector<VkQueueFamilyProperties> families(family_count);
    vkGetPhysicalDeviceQueueFamilyProperties(each, &family_count, families.data());
    // Every queue that computes or draws copies, too.
    constexpr VkQueueFlags copies = VK_QUEUE_TRANSFER_BIT | VK_QUEUE_COMPUTE_BIT | VK_QUEUE_GRAPHICS_BIT;
    while (made.queue_family < family_count && (families[made.queue_family].queueFlags & copies) == 0)
      ++made.queue_family;
    if (made.queue_family == family_count) continue;
    const float priority = 1;
    VkDeviceQueueCreateInfo queue{};
    queue.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
    queue.queueFamilyIndex = made.queue_family;
    queue.queueCount = 1;
    queue.pQueuePriorities = &priority;
    const char* const name = extension.data();
    VkDeviceCreateInfo device{};
    device.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
    device.queueCreateInfoCount = 1;
    device.pQueueCreateInfos = &queue;
    device.enabledExtensionCount = 1;
    device.ppEnabledExtensionNames = &name;
    if (vkCreateDevice(each, &device, nullptr, &made.device) == VK_SUCCESS) return made;
  }
  return std::nullopt;
}

/// The number of the first of the device's types of memory that is among `types` and has `wanted`.
std::optional<std::uint32_t> find_memory_type(const importer& on, std::uint32_t types, VkMemoryPropertyFlags wanted) {
  VkPhysicalDeviceMemoryProperties memory{};
  vkGetPhysicalDeviceMemoryProperties(on.physical, &memory);
  for (std::uint32_t type = 0; type < memory.memoryTypeCount; ++type) {
    if ((types >> type & 1) != 0 && (memory.memoryTypes[type].propertyFlags & wanted) == wanted) return type;
  }
  return std::nullopt;
}

/// A buffer and the memory behind it; gone with the device.
struct device_buffer {
  VkBuffer buffer = VK_NULL_HANDLE;
  VkDeviceMemory memory = VK_NULL_HANDLE;
};

/// A buffer of `size_bytes`, in memory of the device that the program can map, or, with `pages`, in those.
std::optional<device_buffer> make_buffer(const importer& on, VkBufferUsageFlags usage, std::size_t size_bytes,
                                         std::span<const std::byte> pages = {}) {
  device_buffer made;
  constexpr VkExternalMemoryHandleTypeFlagBits from_host = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT;
  VkExternalMemoryBufferCreateInfo external{};
  external.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO;
  external.handleTypes = from_host;
  VkBufferCreateInfo buffer{};
  buffer.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  buffer.pNext = pages.empty() ? nullptr : &external;
  buffer.size = size_bytes;
  buffer.usage = usage;
  if (vkCreateBuffer(on.device, &buffer, nullptr, &made.buffer) != VK_SUCCESS) return std::nullopt;
  VkMemoryRequirements needed{};
  vkGetBufferMemoryRequirements(on.device, made.buffer, &needed);

  VkImportMemoryHostPointerInfoEXT import{};
  import.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT;
  import.handleType = from_host;
  import.pHostPointer = const_cast<std::byte*>(pages.data()); // which the device only reads
  VkMemoryAllocateInfo memory{};
  memory.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
  memory.allocationSize = needed.size;
  VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  if (!pages.empty()) {
    if (needed.size > pages.size()) return std::nullopt;
    memory.pNext = &import;
    memory.allocationSize = pages.size();
    wanted = 0;
    const auto ask = reinterpret_cast<PFN_vkGetMemoryHostPointerPropertiesEXT>(
        vkGetDeviceProcAddr(on.device, "vkGetMemoryHostPointerPropertiesEXT"));
    VkMemoryHostPointerPropertiesEXT possible{};
    possible.sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT;
    if (ask == nullptr || ask(on.device, from_host, import.pHostPointer, &possible) != VK_SUCCESS) return std::nullopt;
    needed.memoryTypeBits &= possible.memoryTypeBits;
  }
  const auto type = find_memory_type(on, needed.memoryTypeBits, wanted);
  if (!type) return std::nullopt;
  memory.memoryTypeIndex = *type;
  if (vkAllocateMemory(on.device, &memory, nullptr, &made.memory) != VK_SUCCESS ||
      vkBindBufferMemory(on.device, made.buffer, made.memory, 0) != VK_SUCCESS)
    return std::nullopt;
  return made;
}

/// Has the device copy `size_bytes` from one buffer to the other, and waits for it.
bool copy_on_device(const importer& on, VkBuffer from, VkBuffer to, std::size_t size_bytes) {
  VkCommandPoolCreateInfo pool_info{};
  pool_info.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
  pool_info.queueFamilyIndex = on.queue_family;
  VkCommandPool pool = VK_NULL_HANDLE;
  if (vkCreateCommandPool(on.device, &pool_info, nullptr, &pool) != VK_SUCCESS) return false;
  VkCommandBufferAllocateInfo allocation{};
  allocation.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
  allocation.commandPool = pool;
  allocation.commandBufferCount = 1;
  VkCommandBuffer commands = VK_NULL_HANDLE;
  bool is_done = vkAllocateCommandBuffers(on.device, &allocation, &commands) == VK_SUCCESS;
  VkCommandBufferBeginInfo begin{};
  begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
  if (is_done && vkBeginCommandBuffer(commands, &begin) == VK_SUCCESS) {
    const VkBufferCopy all{0, 0, size_bytes};
    vkCmdCopyBuffer(commands, from, to, 1, &all);
    VkMemoryBarrier seen{}; // by the program, when the copy is done
    seen.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
    seen.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
    seen.dstAccessMask = VK_ACCESS_HOST_READ_BIT;
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &seen, 0, nullptr,
                         0, nullptr);
    VkQueue queue = VK_NULL_HANDLE;
    vkGetDeviceQueue(on.device, on.queue_family, 0, &queue);
    VkSubmitInfo submit{};
    submit.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    submit.commandBufferCount = 1;
    submit.pCommandBuffers = &commands;
    is_done = vkEndCommandBuffer(commands) == VK_SUCCESS &&
              vkQueueSubmit(queue, 1, &submit, VK_NULL_HANDLE) == VK_SUCCESS && vkQueueWaitIdle(queue) == VK_SUCCESS;
  }
  vkDestroyCommandPool(on.device, pool, nullptr);
  return is_done;
}

void free_buffer(const importer& on, const device_buffer& of) {
  vkDestroyBuffer(on.device, of.buffer, nullptr);
  vkFreeMemory(on.device, of.memory, nullptr);
}

} // namespace

int main() {
  VkApplicationInfo application{};
  application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
  application.apiVersion = VK_API_VERSION_1_1;
  VkInstanceCreateInfo instance_info{};
  instance_info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
  instance_info.pApplicationInfo = &application;
  VkInstance instance = VK_NULL_HANDLE;
  if (vkCreateInstance(&instance_info, nullptr, &instance) != VK_SUCCESS)
    return std::puts("skipped: Vulkan has no driver on this machine"), 0;
  const auto device = find_importer(instance);
  if (!device) return std::puts("skipped: no device on this machine has VK_EXT_external_memory_host"), 0;

  std::vector<float> kernel(1000 * 777);
  for (std::size_t i = 0; i < kernel.size(); ++i) kernel[i] = static_cast<float>(i % 65521);
  const std::vector<float> bias(777, 0.5f);
  stet::writer out;
  out.add("bias", bias, {777}).add("kernel", kernel, {1000, 777}).add("bias_2", bias, {777});
  stet::save_options options;
  options.layout = stet::store_layout::accelerator;
  options.page_size_bytes = static_cast<std::uint32_t>(device->page_size_bytes);
  if (auto saved = out.save("pages.stet", options); !saved) return runtimes::fail(saved.error());

  const auto model = stet::open("pages.stet"); // it outlives the memory that is imported of it
  if (!model) return runtimes::fail(model.error());
  const auto tensor = model->find("kernel");
  if (!tensor) return runtimes::fail(tensor.error());
  const auto pages = model->whole_pages(*tensor, device->page_size_bytes);
  if (!pages) return runtimes::fail(pages.error());

  const std::size_t size_bytes = tensor->bytes().size();
  const auto imported = make_buffer(*device, VK_BUFFER_USAGE_TRANSFER_SRC_BIT, size_bytes, *pages);
  if (!imported) return runtimes::fail("the device does not import the pages");
  const auto copy = make_buffer(*device, VK_BUFFER_USAGE_TRANSFER_DST_BIT, size_bytes);
  void* mapped = nullptr;
  if (!copy || !copy_on_device(*device, imported->buffer, copy->buffer, size_bytes) ||
      vkMapMemory(device->device, copy->memory, 0, VK_WHOLE_SIZE, 0, &mapped) != VK_SUCCESS)
    return runtimes::fail("the device does not copy the tensor");
  const bool is_same = std::memcmp(mapped, kernel.data(), size_bytes) == 0;
  vkUnmapMemory(device->device, copy->memory);
  free_buffer(*device, *copy);
  free_buffer(*device, *imported);
  vkDestroyDevice(device->device, nullptr);
  vkDestroyInstance(instance, nullptr);
  if (!is_same) return runtimes::fail("the device read other bytes than those of the tensor");
  std::printf("%s: read a tensor of %zu bytes from %zu pages of the mapped file\n", device->properties.deviceName,
              size_bytes, pages->size() / device->page_size_bytes);
  return 0;
}
