// A stub: what MicroPython's core, our module and esp32_partition.c use of ESP-IDF, declared and not implemented.
// project.cmake makes every header of ESP-IDF that they include one that includes this.
#ifndef STUB_IDF_H
#define STUB_IDF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define IRAM_ATTR __attribute__((section(".iram1")))
typedef int esp_err_t;
uint32_t esp_random(void);

// FreeRTOS
typedef int BaseType_t;
typedef uint32_t TickType_t;
typedef void *TaskHandle_t, *SemaphoreHandle_t;
typedef struct {
    void *p[20];
} StaticSemaphore_t;
typedef struct {
    int x;
} portMUX_TYPE;
#define pdFALSE 0
#define portENTER_CRITICAL(mux) ((void)(mux))
#define portEXIT_CRITICAL(mux) ((void)(mux))
uint32_t ulTaskNotifyTake(BaseType_t clear, TickType_t ticks);

// GPIO
typedef int gpio_num_t, spi_host_device_t, i2s_port_t;
enum { GPIO_MODE_INPUT, GPIO_MODE_INPUT_OUTPUT, GPIO_MODE_INPUT_OUTPUT_OD };
#define GPIO_OUT_REG 0
#define GPIO_OUT1_REG 4
esp_err_t gpio_set_direction(gpio_num_t pin, int mode);
esp_err_t gpio_set_level(gpio_num_t pin, uint32_t level);
int gpio_get_level(gpio_num_t pin);
void esp_rom_gpio_pad_select_gpio(uint32_t pin);

// Partitions
typedef enum { ESP_PARTITION_TYPE_APP, ESP_PARTITION_TYPE_DATA } esp_partition_type_t;
typedef enum { ESP_PARTITION_SUBTYPE_ANY = 0xff } esp_partition_subtype_t;
typedef enum { ESP_PARTITION_MMAP_DATA } esp_partition_mmap_memory_t;
typedef uint32_t esp_partition_mmap_handle_t;
typedef struct esp_partition_iterator_opaque_ *esp_partition_iterator_t;
typedef struct {
    esp_partition_type_t type;
    esp_partition_subtype_t subtype;
    uint32_t address, size;
    char label[17];
    bool encrypted;
} esp_partition_t;
esp_partition_iterator_t esp_partition_find(esp_partition_type_t type, esp_partition_subtype_t subtype,
    const char *label);
const esp_partition_t *esp_partition_find_first(esp_partition_type_t type, esp_partition_subtype_t subtype,
    const char *label);
const esp_partition_t *esp_partition_get(esp_partition_iterator_t iterator);
esp_partition_iterator_t esp_partition_next(esp_partition_iterator_t iterator);
void esp_partition_iterator_release(esp_partition_iterator_t iterator);
esp_err_t esp_partition_read(const esp_partition_t *partition, size_t at, void *to, size_t size);
esp_err_t esp_partition_write(const esp_partition_t *partition, size_t at, const void *from, size_t size);
esp_err_t esp_partition_erase_range(const esp_partition_t *partition, size_t at, size_t size);
esp_err_t esp_partition_mmap(const esp_partition_t *partition, size_t at, size_t size,
    esp_partition_mmap_memory_t memory, const void **out, esp_partition_mmap_handle_t *handle);
const esp_partition_t *esp_ota_get_boot_partition(void);
const esp_partition_t *esp_ota_get_running_partition(void);
const esp_partition_t *esp_ota_get_next_update_partition(const esp_partition_t *from);
esp_err_t esp_ota_set_boot_partition(const esp_partition_t *partition);
esp_err_t esp_ota_mark_app_valid_cancel_rollback(void);

#endif
